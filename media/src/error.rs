//! What can go wrong with a media file, as types.
//!
//! Invariant: no FFmpeg error number leaves this crate; callers see what happened to *their* file.

use std::io;

/// Why a file could not be probed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The file could not be read.
    #[error("cannot read the file: {0}")]
    Io(#[from] io::Error),
    /// The file has no bytes.
    #[error("the file is empty")]
    Empty,
    /// No demuxer that we allow recognises the bytes.
    #[error("not a media file of a kind we play: {0}")]
    NotMedia(String),
    /// A container, but with no track that can be decoded.
    #[error("no audio or video track that can be decoded")]
    NoTracks,
    /// The container's tables are there, but not one frame of its content.
    #[error("truncated: not one frame can be decoded")]
    Truncated,
}

/// Why decoding or demuxing failed, inside the crate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MediaError {
    /// A cancelled read: not a fault.
    #[error("cancelled")]
    Cancelled,
    /// The end of the stream.
    #[error("end of stream")]
    Eof,
    /// Bytes that make no sense; the next packet may.
    #[error("invalid data")]
    InvalidData,
    /// No track can be played.
    #[error("no playable track")]
    NoTracks,
    /// Anything else FFmpeg reports.
    #[error("{0}")]
    Ffmpeg(ffmpeg_next::Error),
}

impl From<ffmpeg_next::Error> for MediaError {
    fn from(error: ffmpeg_next::Error) -> Self {
        use ffmpeg_next::Error as E;
        if error == E::Exit {
            Self::Cancelled
        } else if error == E::Eof {
            Self::Eof
        } else if error == E::InvalidData {
            Self::InvalidData
        } else {
            Self::Ffmpeg(error)
        }
    }
}
