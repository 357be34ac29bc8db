//! The map file: a header, then one bit per verified leaf.
//!
//! ```text
//!   0  magic   8 bytes  "rustezem"
//!   8  version u32      1
//!  12  dirty   u32      1 while bits may have reached the disk before the bytes they claim
//!  16  size    u64      of the content
//!  24  id      32 bytes the content id
//!  56  boot    16 bytes the boot of the machine that made it dirty; zero when unknown
//!  72  check   8 bytes  the first bytes of the BLAKE3 hash of the 72 before
//!  80  bits             leaf i is bit i % 8 of byte i / 8
//! ```
//!
//! Integers are little-endian. Invariant: a header that decodes is one that was written whole. No I/O here.

use shared::{ContentId, limits::MAX_CONTENT_BYTES, units::leaf_count};

/// Bytes before the bits.
pub const HEADER_BYTES: u64 = 80;
const MAGIC: &[u8; 8] = b"rustezem";
const VERSION: u32 = 1;

/// Names one boot of one machine.
pub type BootId = [u8; 16];

/// The header of a map file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whether bits may claim what a crash of the machine has lost.
    pub dirty: bool,
    /// Length of the content.
    pub size_bytes: u64,
    /// Which content.
    pub content_id: ContentId,
    /// The boot that made it dirty.
    pub boot: BootId,
}

impl Header {
    /// The byte form.
    pub fn encode(&self) -> [u8; HEADER_BYTES as usize] {
        let mut bytes = [0; HEADER_BYTES as usize];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&u32::from(self.dirty).to_le_bytes());
        bytes[16..24].copy_from_slice(&self.size_bytes.to_le_bytes());
        bytes[24..56].copy_from_slice(self.content_id.as_bytes());
        bytes[56..72].copy_from_slice(&self.boot);
        let check = check(&bytes[..72]);
        bytes[72..].copy_from_slice(&check);
        bytes
    }

    /// Reads the byte form at the start of a map file; `None` if it is not whole, of another version, or of an impossible size.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER_BYTES as usize)?;
        let is_ours = bytes[..8] == *MAGIC
            && bytes[8..12] == VERSION.to_le_bytes()
            && bytes[72..] == check(&bytes[..72]);
        let size_bytes = u64::from_le_bytes(bytes[16..24].try_into().ok()?);
        if !is_ours || size_bytes == 0 || size_bytes > MAX_CONTENT_BYTES {
            return None;
        }
        Some(Self {
            dirty: bytes[12..16] != [0; 4],
            size_bytes,
            content_id: ContentId(bytes[24..56].try_into().ok()?),
            boot: bytes[56..72].try_into().ok()?,
        })
    }

    /// How long the whole map file is.
    pub fn file_bytes(&self) -> u64 {
        HEADER_BYTES + u64::from(leaf_count(self.size_bytes).div_ceil(8))
    }
}

fn check(bytes: &[u8]) -> [u8; 8] {
    let mut check = [0; 8];
    check.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
    check
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: Header =
        Header { dirty: true, size_bytes: 70_000, content_id: ContentId([7; 32]), boot: [9; 16] };

    #[test]
    fn a_header_survives_its_byte_form() {
        assert_eq!(Header::decode(&HEADER.encode()), Some(HEADER));
        assert_eq!(HEADER.file_bytes(), 81);
    }

    proptest! {
        #[test]
        fn a_header_with_any_flipped_bit_is_refused(bit in 0..HEADER_BYTES as usize * 8) {
            let mut bytes = HEADER.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Header::decode(&bytes), None);
        }

        #[test]
        fn arbitrary_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(Header::decode(&bytes), None);
        }
    }
}
