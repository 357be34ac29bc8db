//! Bytes to pictures and sound.
//!
//! `media` knows bytes and time, never peers: it reads from a [`MediaSource`] that its caller supplies, which may
//! still be filling, and turns it into decoded frames and sound that keep step with each other. All of FFmpeg is
//! confined to this crate.
//!
//! - [`probe_file`] says what a file is, for an index of shared files, and [`waveform`] how loud it is where;
//! - `Player` (feature `player`) plays a source: one demuxer thread over a blocking, cancellable reader, one decoder
//!   thread per track, sound through kira, and a conductor that shows each frame when the master clock reaches it.
//!
//! What it deliberately does not do: no networking, no windows, no subtitles yet, no hardware decoding.

#![cfg_attr(
    not(feature = "player"),
    allow(dead_code, reason = "some of what it shares is for the player alone")
)]

mod cover;
mod decode;
mod error;
mod ffi;
mod frame;
mod geometry;
mod hints;
mod input;
mod probe;
mod reader;
mod source;
mod time;
mod waveform;

#[cfg(feature = "player")]
mod output;
#[cfg(feature = "player")]
mod player;

pub use error::ProbeError;
pub use frame::VideoFrame;
#[cfg(feature = "player")]
pub use player::{FrameTap, OutputChoice, Player, PlayerOptions, PlayerSnapshot, PlayerState};
pub use probe::{MediaInfo, MediaKind, is_media_name, probe_file};
pub use source::{FileSource, MediaSource};
pub use waveform::{WAVEFORM_BARS, waveform};
