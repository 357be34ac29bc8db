//! Looking into media files in a process of its own: `rusteze-probe`, the program beside this one, prints what [`media`] finds out.
//!
//! FFmpeg and its two hundred libraries take 20 MB of a process that only loads them, and read whatever a shared folder holds. Here both are
//! a short-lived child's: a node that streams never loads them, and a file that brings them down is one that is not shared. A program
//! that plays has them anyway and hands [`media`]'s own functions to its node instead.
//!
//! Invariant: nothing here refers to functions of `media`, so that a program without them is not linked with FFmpeg.

use std::{
    env,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, atomic::AtomicBool},
};

use media::{MediaInfo, ProbeError};
use serde::{Deserialize, Serialize};

/// How a node looks into complete local files.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// What a file is.
    pub info: fn(&Path) -> Result<MediaInfo, ProbeError>,
    /// How loud it is where, by its duration in milliseconds; empty where that cannot be said. Takes up to seconds, and may end early once
    /// it is cancelled.
    pub waveform: fn(&Path, u64, &Arc<AtomicBool>) -> Vec<u8>,
}

impl Probe {
    /// By the program beside this one.
    pub const IN_CHILD: Self = Self { info: info_by_child, waveform: waveform_by_child };
}

/// Makes `rusteze-probe` print a waveform; the duration follows.
pub const WAVEFORM_FLAG: &str = "--waveform";

/// The program's name.
const PROGRAM: &str = "rusteze-probe";
/// The longest answer: a cover and a time index in JSON take a fifth of it.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// What the child says on its standard output, as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub enum Finding {
    /// A file of a kind we play.
    Media(MediaInfo),
    /// The file could not be read: the system's number where there is one, and its words.
    Unreadable(Option<i32>, String),
    /// See [`ProbeError::Empty`].
    Empty,
    /// See [`ProbeError::NotMedia`].
    NotMedia(String),
    /// See [`ProbeError::NoTracks`].
    NoTracks,
    /// See [`ProbeError::Truncated`].
    Truncated,
}

fn info_by_child(path: &Path) -> Result<MediaInfo, ProbeError> {
    let answer = ask(Command::new(program()?).arg(path))?;
    match serde_json::from_slice::<Finding>(&answer) {
        Ok(finding) => finding.into(),
        // It was ended by a signal, or ran out of memory: the file is at fault as far as anybody can tell.
        Err(_) => Err(ProbeError::NotMedia("reading it ended the program that tried".to_owned())),
    }
}

/// Not cancelled: the child ends soon by itself.
fn waveform_by_child(path: &Path, duration_ms: u64, _: &Arc<AtomicBool>) -> Vec<u8> {
    let ask_for_it = || {
        let mut command = Command::new(program()?);
        let answer = ask(command.arg(WAVEFORM_FLAG).arg(duration_ms.to_string()).arg(path))?;
        serde_json::from_slice(&answer).map_err(io::Error::from)
    };
    ask_for_it().unwrap_or_else(|error| {
        tracing::debug!(path = %path.display(), %error, "no waveform");
        Vec::new()
    })
}

fn ask(command: &mut Command) -> io::Result<Vec<u8>> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut answer = Vec::new();
    let read = match child.stdout.take() {
        Some(stdout) => stdout.take(MAX_ANSWER_BYTES).read_to_end(&mut answer),
        None => Ok(0),
    };
    child.wait()?;
    read.map(|_| answer)
}

/// Beside this program; for a test's, which lies a folder deeper, there.
fn program() -> io::Result<PathBuf> {
    let own = env::current_exe()?;
    let name = format!("{PROGRAM}{}", env::consts::EXE_SUFFIX);
    let mut places = own.ancestors().skip(1).take(2).map(|folder| folder.join(&name));
    places.find(|place| place.is_file()).ok_or_else(|| {
        let text = format!("{name} is missing beside {}: install it there to share files", own.display());
        io::Error::new(io::ErrorKind::Unsupported, text)
    })
}

impl From<Result<MediaInfo, ProbeError>> for Finding {
    fn from(found: Result<MediaInfo, ProbeError>) -> Self {
        match found {
            Ok(info) => Self::Media(info),
            Err(ProbeError::Io(error)) => Self::Unreadable(error.raw_os_error(), error.to_string()),
            Err(ProbeError::Empty) => Self::Empty,
            Err(ProbeError::NotMedia(text)) => Self::NotMedia(text),
            Err(ProbeError::NoTracks) => Self::NoTracks,
            Err(ProbeError::Truncated) => Self::Truncated,
        }
    }
}

impl From<Finding> for Result<MediaInfo, ProbeError> {
    fn from(finding: Finding) -> Self {
        Err(match finding {
            Finding::Media(info) => return Ok(info),
            Finding::Unreadable(Some(number), _) => io::Error::from_raw_os_error(number).into(),
            Finding::Unreadable(None, text) => io::Error::other(text).into(),
            Finding::Empty => ProbeError::Empty,
            Finding::NotMedia(text) => ProbeError::NotMedia(text),
            Finding::NoTracks => ProbeError::NoTracks,
            Finding::Truncated => ProbeError::Truncated,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_survives_the_way_between_the_programs() {
        let gone = || io::Error::from_raw_os_error(2);
        for error in [
            ProbeError::Io(gone()),
            ProbeError::Io(io::Error::other("odd")),
            ProbeError::Empty,
            ProbeError::NotMedia("a text".to_owned()),
            ProbeError::NoTracks,
            ProbeError::Truncated,
        ] {
            let said = error.to_string();
            let sent = serde_json::to_vec(&Finding::from(Err(error))).unwrap();
            let received: Result<MediaInfo, ProbeError> =
                serde_json::from_slice::<Finding>(&sent).unwrap().into();
            assert_eq!(received.unwrap_err().to_string(), said);
        }
        let sent = serde_json::to_vec(&Finding::from(Err(ProbeError::Io(gone())))).unwrap();
        let received: Result<MediaInfo, ProbeError> =
            serde_json::from_slice::<Finding>(&sent).unwrap().into();
        assert!(matches!(received, Err(ProbeError::Io(error)) if error.kind() == io::ErrorKind::NotFound));
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_dies_makes_the_file_no_media() {
        let answer = ask(Command::new("/bin/false").arg("film.mkv")).unwrap();
        assert!(serde_json::from_slice::<Finding>(&answer).is_err());
    }
}
