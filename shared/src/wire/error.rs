//! Why bytes are not a frame. Everything here ends the session it came from: a peer that cannot frame cannot be answered.

use thiserror::Error;

/// Why a message could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Longer than any frame may be.
    #[error("frame of {0} bytes exceeds the limit")]
    TooLong(usize),
    /// Shorter than the header, or than its own body length says.
    #[error("frame is cut short")]
    Truncated,
    /// Reserved header bytes are not zero.
    #[error("reserved header bytes are set")]
    Reserved,
    /// No such frame type in this version.
    #[error("unknown frame type {0:#04x}")]
    UnknownType(u8),
    /// The body is not what its type says.
    #[error("malformed body of frame type {frame_type:#04x}: {source}")]
    Body {
        /// The frame's type number.
        frame_type: u8,
        /// What is wrong with it.
        source: BodyError,
    },
    /// A short frame that names a content which was not spelled out, or of a type that names none.
    #[error("no content was given the name {0}")]
    UnknownName(u8),
    /// A payload where none belongs, or of a length none may have.
    #[error("frame type {0:#04x} may not carry this payload")]
    Payload(u8),
}

/// What is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BodyError {
    /// Not bincode of the expected shape, or larger than allowed.
    #[error("not a valid encoding")]
    Encoding,
    /// Bytes are left over after the value.
    #[error("{0} bytes left over")]
    Trailing(usize),
    /// A field is beyond its limit; names the field.
    #[error("field `{0}` is out of bounds")]
    OutOfBounds(&'static str),
}
