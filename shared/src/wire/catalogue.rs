//! What a file is, on the wire: entries, hints, and the checks every text and list from outside passes.

use std::{fmt, marker::PhantomData, net::SocketAddr};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, SeqAccess, Visitor},
};

use super::{BodyError, Role};
use crate::{
    ids::{ContentId, MediaKind, NodeId},
    limits::{
        MAX_CODECS, MAX_CONTENT_BYTES, MAX_COVER_BYTES, MAX_NAME_BYTES, MAX_SEEDS, MAX_STARTUP_RANGES,
        MAX_TEXT_BYTES, MAX_TIME_INDEX, MAX_WAVEFORM,
    },
};

/// A body that knows its bounds. Run on everything that is decoded.
pub(crate) trait Validate {
    /// Checks every field against [`crate::limits`].
    fn validate(&self) -> Result<(), BodyError> {
        Ok(())
    }
}

pub(crate) const fn bounded(holds: bool, field: &'static str) -> Result<(), BodyError> {
    if holds { Ok(()) } else { Err(BodyError::OutOfBounds(field)) }
}

/// Text from outside: bounded, and without control characters that could forge a log line or a terminal.
pub(crate) fn bounded_text(text: &str, max_bytes: usize, field: &'static str) -> Result<(), BodyError> {
    bounded(text.len() <= max_bytes && !text.chars().any(char::is_control), field)
}

/// Deserialises a list of at most `MAX` elements; a longer one fails before anything is allocated for it.
///
/// Serde alone would trust a claimed length up to a mebibyte a list, and lists nest.
pub(crate) fn list<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct List<T, const MAX: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for List<T, MAX> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX}")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
            let claimed = elements.size_hint().unwrap_or(0);
            if claimed > MAX {
                return Err(A::Error::invalid_length(claimed, &self));
            }
            let mut list = Vec::with_capacity(claimed);
            while let Some(element) = elements.next_element()? {
                if list.len() == MAX {
                    return Err(A::Error::invalid_length(MAX + 1, &self));
                }
                list.push(element);
            }
            Ok(list)
        }
    }

    deserializer.deserialize_seq(List::<T, MAX>(PhantomData))
}

/// One shared file as its sharer describes it. Everything but the id is a claim; the id verifies the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// The BLAKE3 hash of the bytes.
    pub content_id: ContentId,
    /// The file name, without any folder.
    pub name: String,
    /// Length of the file.
    pub size_bytes: u64,
    /// Audio or video.
    pub kind: MediaKind,
    /// Length of the media.
    pub duration_ms: u64,
    /// Mean rate of the whole file.
    pub bitrate_bps: u64,
    /// The container's short name, as ffmpeg calls it.
    pub container: String,
    /// Codecs of the streams, as ffmpeg calls them.
    #[serde(deserialize_with = "list::<_, _, MAX_CODECS>")]
    pub codecs: Vec<String>,
    /// Picture size; zero for sound.
    pub width: u32,
    /// Picture size; zero for sound.
    pub height: u32,
    /// Title from the file's tags, or empty.
    pub title: String,
    /// Artist from the file's tags, or empty.
    pub artist: String,
    /// Album from the file's tags, or empty.
    pub album: String,
    /// Whether the hints carry a picture.
    pub has_cover: bool,
}

/// A file of the network: what it is and how many have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogueEntry {
    /// The description, from the first sharer the tracker heard.
    pub file: FileEntry,
    /// How many nodes have all of it, the origin included.
    pub sources: u32,
    /// Whether the tracker's own library has it.
    pub at_origin: bool,
    /// Some of those who have all of it. Whoever opens the file dials them while it asks for a plan; the plan stands over this.
    #[serde(deserialize_with = "list::<_, _, MAX_SEEDS>")]
    pub seeds: Vec<Seed>,
}

/// A node that has all of a file, and where it can be dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed {
    /// Who.
    pub node: NodeId,
    /// Peer or origin.
    pub role: Role,
    /// Where; none for the tracker's own origin, which is where the tracker is. Never a loopback address.
    pub address: Option<SocketAddr>,
}

/// What a sharer knows about a file that lets a viewer start in one round trip. Never trusted: wrong hints cost time only.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hints {
    /// `(offset, length)` of the bytes a player touches before its first picture or sound.
    #[serde(deserialize_with = "list::<_, _, MAX_STARTUP_RANGES>")]
    pub startup_ranges: Vec<(u64, u64)>,
    /// `(time in ms, byte offset)`, both growing.
    #[serde(deserialize_with = "list::<_, _, MAX_TIME_INDEX>")]
    pub time_index: Vec<(u32, u64)>,
    /// A small JPEG: cover art, or a representative frame.
    #[serde(deserialize_with = "list::<_, _, MAX_COVER_BYTES>")]
    pub cover_jpeg: Vec<u8>,
    /// How loud evenly spaced stretches of a sound file are, the loudest 255; empty when unknown.
    #[serde(deserialize_with = "list::<_, _, MAX_WAVEFORM>")]
    pub waveform: Vec<u8>,
}

impl Validate for FileEntry {
    fn validate(&self) -> Result<(), BodyError> {
        bounded_text(&self.name, MAX_NAME_BYTES, "name")?;
        let names_a_file = !["", ".", ".."].contains(&self.name.as_str()) && !self.name.contains(['/', '\\']);
        bounded(names_a_file, "name")?;
        bounded((1..=MAX_CONTENT_BYTES).contains(&self.size_bytes), "size_bytes")?;
        bounded(self.codecs.len() <= MAX_CODECS, "codecs")?;
        self.codecs.iter().try_for_each(|codec| bounded_text(codec, MAX_TEXT_BYTES, "codecs"))?;
        bounded_text(&self.container, MAX_TEXT_BYTES, "container")?;
        bounded_text(&self.title, MAX_TEXT_BYTES, "title")?;
        bounded_text(&self.artist, MAX_TEXT_BYTES, "artist")?;
        bounded_text(&self.album, MAX_TEXT_BYTES, "album")
    }
}

impl FileEntry {
    /// Whether the entry is within every bound of the wire; what is not must not be sent.
    pub fn is_valid(&self) -> bool {
        self.validate().is_ok()
    }
}

impl Validate for CatalogueEntry {
    fn validate(&self) -> Result<(), BodyError> {
        self.file.validate()?;
        bounded(self.seeds.len() <= MAX_SEEDS, "seeds")
    }
}

impl Validate for Hints {
    fn validate(&self) -> Result<(), BodyError> {
        bounded(self.startup_ranges.len() <= MAX_STARTUP_RANGES, "startup_ranges")?;
        let in_bounds = |(offset, length): &(u64, u64)| offset.saturating_add(*length) <= MAX_CONTENT_BYTES;
        bounded(self.startup_ranges.iter().all(in_bounds), "startup_ranges")?;
        bounded(self.time_index.len() <= MAX_TIME_INDEX, "time_index")?;
        bounded(self.time_index.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "time_index")?;
        bounded(self.cover_jpeg.len() <= MAX_COVER_BYTES, "cover_jpeg")?;
        bounded(self.waveform.len() <= MAX_WAVEFORM, "waveform")
    }
}

impl Hints {
    /// Whether the hints are within every bound of the wire; what is not must not be sent.
    pub fn is_valid(&self) -> bool {
        self.validate().is_ok()
    }
}
