//! `rusteze-probe FILE`: prints what a media file is, as JSON. Nodes start it for each file they share; see `peer_actor::probe`.

use std::{
    env,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use peer_actor::probe::Finding;

fn main() -> ExitCode {
    let mut words = env::args_os().skip(1);
    let (Some(file), None) = (words.next(), words.next()) else {
        return usage();
    };
    let finding = Finding::from(media::probe_file(Path::new(&file)));
    let mut out = io::stdout().lock();
    let said = serde_json::to_writer(&mut out, &finding).map_err(io::Error::from);
    if said.and_then(|()| out.write_all(b"\n")).is_err() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn usage() -> ExitCode {
    let text = "usage: rusteze-probe FILE\n\nPrints what a media file is, as JSON.\n";
    if io::stderr().write_all(text.as_bytes()).is_err() { ExitCode::FAILURE } else { ExitCode::from(2) }
}
