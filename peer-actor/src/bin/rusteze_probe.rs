//! `rusteze-probe FILE`: prints what a media file is, as JSON, or how loud it is where. Nodes start it for each file they share; see
//! `peer_actor::probe`.

use std::{
    env,
    ffi::OsString,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use peer_actor::probe::{Finding, WAVEFORM_FLAG};
use serde::Serialize;

fn main() -> ExitCode {
    let words: Vec<OsString> = env::args_os().skip(1).collect();
    match &words[..] {
        [file] if !file.to_string_lossy().starts_with("--") => {
            say(&Finding::from(media::probe_file(Path::new(file))))
        }
        [flag, duration_ms, file] if flag == WAVEFORM_FLAG => {
            let Some(duration_ms) = duration_ms.to_str().and_then(|text| text.parse().ok()) else {
                return usage();
            };
            say(&media::waveform(Path::new(file), duration_ms, || false))
        }
        _ => usage(),
    }
}

fn say(finding: &impl Serialize) -> ExitCode {
    let mut out = io::stdout().lock();
    let said = serde_json::to_writer(&mut out, finding).map_err(io::Error::from);
    if said.and_then(|()| out.write_all(b"\n")).is_err() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn usage() -> ExitCode {
    let text = "usage: rusteze-probe FILE\n       rusteze-probe --waveform DURATION_MS FILE\n\n\
        Prints what a media file is, or how loud it is where, as JSON.\n";
    if io::stderr().write_all(text.as_bytes()).is_err() { ExitCode::FAILURE } else { ExitCode::from(2) }
}
