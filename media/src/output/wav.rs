//! A 16-bit stereo WAV file, written as it is played.
//!
//! Invariant: the header is made right again every second and at the end, so that a killed player leaves a file that
//! can be read.

use std::{
    fs::File,
    io::{self, BufWriter, Seek, SeekFrom, Write},
    path::Path,
};

const CHANNELS: u32 = 2;

pub(crate) struct WavWriter {
    file: BufWriter<File>,
    rate_hz: u32,
    frames: u64,
    frames_in_header: u64,
    broken: bool,
}

impl WavWriter {
    pub(crate) fn create(path: &Path, rate_hz: u32) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&header(rate_hz, 0))?;
        Ok(Self { file, rate_hz, frames: 0, frames_in_header: 0, broken: false })
    }

    /// Appends interleaved stereo. A full disk is reported once and ends the capture, not the playback.
    pub(crate) fn write(&mut self, interleaved: &[f32]) {
        if self.broken {
            return;
        }
        if let Err(error) = self.try_write(interleaved) {
            tracing::error!(%error, "the capture stops");
            self.broken = true;
        }
    }

    fn try_write(&mut self, interleaved: &[f32]) -> io::Result<()> {
        for sample in interleaved {
            self.file.write_all(&((sample.clamp(-1.0, 1.0) * 32_767.0) as i16).to_le_bytes())?;
        }
        self.frames += interleaved.len() as u64 / u64::from(CHANNELS);
        if self.frames - self.frames_in_header >= u64::from(self.rate_hz) {
            self.renew_header()?;
        }
        Ok(())
    }

    fn renew_header(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header(self.rate_hz, self.frames))?;
        self.file.seek(SeekFrom::End(0))?;
        self.frames_in_header = self.frames;
        self.file.flush()
    }
}

impl Drop for WavWriter {
    fn drop(&mut self) {
        if let Err(error) = self.renew_header() {
            tracing::error!(%error, "the capture file stays incomplete");
        }
    }
}

/// The 44 bytes before the samples.
fn header(rate_hz: u32, frames: u64) -> [u8; 44] {
    let data_bytes = u32::try_from(frames * u64::from(CHANNELS) * 2).unwrap_or(u32::MAX - 36);
    let mut bytes = [0; 44];
    let fields: [&[u8]; 13] = [
        b"RIFF",
        &(data_bytes + 36).to_le_bytes(),
        b"WAVE",
        b"fmt ",
        &16_u32.to_le_bytes(),
        &1_u16.to_le_bytes(),
        &(CHANNELS as u16).to_le_bytes(),
        &rate_hz.to_le_bytes(),
        &(rate_hz * CHANNELS * 2).to_le_bytes(),
        &(CHANNELS as u16 * 2).to_le_bytes(),
        &16_u16.to_le_bytes(),
        b"data",
        &data_bytes.to_le_bytes(),
    ];
    let flat = fields.concat();
    bytes.copy_from_slice(&flat);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_says_how_much_follows() {
        let bytes = header(48_000, 10);
        assert_eq!(&bytes[..4], b"RIFF");
        assert_eq!(bytes[40..44], 40_u32.to_le_bytes());
        assert_eq!(bytes[24..28], 48_000_u32.to_le_bytes());
    }
}
