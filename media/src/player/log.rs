//! The record of shown frames that tests read: one JSON object per line.
//!
//! Invariant: a line is whole when it is in the file. A log that cannot be written is reported once and forgotten.

use std::{
    fs::File,
    io::{LineWriter, Write as _},
    path::Path,
};

pub(crate) struct FrameLog(Option<LineWriter<File>>);

impl FrameLog {
    pub(crate) fn open(path: Option<&Path>) -> Self {
        let Some(path) = path else { return Self(None) };
        match File::create(path) {
            Ok(file) => Self(Some(LineWriter::new(file))),
            Err(error) => {
                tracing::error!(%error, path = %path.display(), "the frame log cannot be written");
                Self(None)
            }
        }
    }

    /// Notes a frame shown at `wall_us` after opening, when the master clock said `clock_us`.
    pub(crate) fn note(&mut self, pts_us: i64, wall_us: i64, clock_us: i64) {
        let Some(file) = &mut self.0 else { return };
        let ms = |us: i64| us as f64 / 1000.0;
        let line = writeln!(
            file,
            "{{\"pts_ms\":{:.3},\"wall_ms\":{:.3},\"clock_ms\":{:.3}}}",
            ms(pts_us),
            ms(wall_us),
            ms(clock_us)
        );
        if let Err(error) = line {
            tracing::error!(%error, "the frame log stops");
            self.0 = None;
        }
    }
}
