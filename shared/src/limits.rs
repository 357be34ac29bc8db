//! Every bound the protocol and the programs rely on, in one place, with the relations between them.
//!
//! Peak memory of a node that serves and views, beyond its code and the index of its files:
//!
//! ```text
//! per link      MAX_FRAME_BYTES (one frame being assembled)
//!             + LINK_INBOUND_BYTES (frames read but not yet handled)
//!             + LINK_OUTBOUND_BYTES (frames handed over but not yet in the kernel)
//! per node      MAX_LINKS x the above in the worst case, 64 KiB x links in an ordinary one
//!             + IDLE_BUFFER_BYTES (payload buffers between two uses)
//!             + MAX_OPEN_CONTENTS x (leaf bitmaps: 8 KiB per GiB of content and neighbour; counts of holders: 128 KiB per GiB of content)
//! ```

/// The unit of verification: a BLAKE3 chunk group of 16 KiB.
pub const LEAF_BYTES: u64 = 16 * 1024;
/// log2 of the number of 1 KiB BLAKE3 chunks in a leaf, bao-tree's block size.
pub const LEAF_CHUNK_LOG: u8 = 4;
/// The largest content the protocol can name: 2^31 - 1 leaves, so that counters and ends of ranges fit 32 bits.
pub const MAX_CONTENT_BYTES: u64 = (u32::MAX as u64 >> 1) * LEAF_BYTES;

/// The largest chunk in leaves; a power of two.
pub const MAX_CHUNK_LEAVES: u32 = 64;
/// The leaves beneath a branch, whose pairs travel at once: 8 KiB of them for 2 MiB of a content.
pub const BRANCH_LEAVES: u32 = 128;
/// The largest payload tail of a frame.
pub const MAX_PAYLOAD_BYTES: usize = MAX_CHUNK_LEAVES as usize * LEAF_BYTES as usize;
/// The largest bincode body of a frame.
pub const MAX_BODY_BYTES: usize = 128 * 1024;
/// The fixed header of a frame.
pub const HEADER_BYTES: usize = 8;
/// The largest frame. Longer ones end the session before they are buffered.
pub const MAX_FRAME_BYTES: usize = HEADER_BYTES + MAX_BODY_BYTES + MAX_PAYLOAD_BYTES;

/// The longest file name on the wire, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 255;
/// The most files one delta may carry.
pub const MAX_DELTA_FILES: usize = 64;
/// The longest value of the header that carries a frame of the handshake: the longest Welcome has 280 bytes, in base64.
pub const MAX_GREETING_CHARS: usize = 512;
/// The most nodes a catalogue entry names as seeds: enough that one may be away.
pub const MAX_SEEDS: usize = 2;

/// The most files one client may share.
pub const MAX_FILES_PER_CLIENT: usize = 100_000;
/// The most files of the network a client keeps the descriptions of, about 120 MB of them.
pub const MAX_CATALOGUE_FILES: usize = 200_000;
/// The most codecs a file entry names.
pub const MAX_CODECS: usize = 8;
/// The longest text field other than a name (codec, container, title, agent, reason).
pub const MAX_TEXT_BYTES: usize = 128;
/// The largest cover or poster thumbnail that travels in a file entry.
pub const MAX_COVER_BYTES: usize = 24 * 1024;
/// The most entries of a time-to-byte index.
pub const MAX_TIME_INDEX: usize = 4096;
/// The most bars of a waveform.
pub const MAX_WAVEFORM: usize = 400;
/// The most start-up ranges in media hints.
pub const MAX_STARTUP_RANGES: usize = 32;
/// The most sources one plan names.
pub const MAX_PLAN_SOURCES: usize = 64;
/// The most addresses a node may give for itself.
pub const MAX_ADDRESSES: usize = 8;
/// The most leaf ranges one Have may carry.
pub const MAX_HAVE_RANGES: usize = 2048;
/// The most requests or cancels one frame may carry.
pub const MAX_REQUEST_BATCH: usize = 256;
/// The most link metrics one report may carry.
pub const MAX_LINK_METRICS: usize = 256;
/// The most proof nodes one Data may carry: the height of the largest tree.
pub const MAX_PROOF_NODES: usize = 32;

/// The most pairs of a branch: those beneath its node and those above it.
pub const MAX_BRANCH_PAIRS: usize = BRANCH_LEAVES as usize - 1 + MAX_PROOF_NODES;

/// Frames read from a link but not yet handled by its session, in bytes; then reading stops.
pub const LINK_INBOUND_BYTES: usize = 2 * MAX_FRAME_BYTES;
/// Frames given to a link but not yet taken by the kernel, in bytes; then sending is refused.
pub const LINK_OUTBOUND_BYTES: usize = 2 * MAX_FRAME_BYTES;
/// Frames given to a link but not yet taken by the kernel, in frames.
pub const LINK_OUTBOUND_FRAMES: usize = 256;
/// Bytes the kernel may hold unsent on one connection (`TCP_NOTSENT_LOWAT`), so that a flush is effective.
pub const SOCKET_UNSENT_BYTES: u32 = 8 * 1024;
/// The same on a connection so fast that they are gone in milliseconds.
pub const MAX_SOCKET_UNSENT_BYTES: u32 = 512 * 1024;
/// Payload buffers kept for their next use, in a process.
pub const IDLE_BUFFER_BYTES: usize = 6 * 1024 * 1024;
/// Threads of an arbiter that read, write and hash; more would hold more chunks at once, and no disk is faster for it.
pub const BLOCKING_THREADS: usize = 8;
/// Data bytes a receiver grants on one link before it has seen any rate. A grant is a promise to read in time, not memory: what is not
/// handled stays in the kernel, bounded by `LINK_INBOUND_BYTES` here and the socket's buffers there.
pub const INITIAL_CREDIT_BYTES: u64 = 2 * 1024 * 1024;
/// The most it grants ahead of what came, on a link that is fast and long.
pub const MAX_CREDIT_BYTES: u64 = 32 * 1024 * 1024;

/// The most padding of a frame of a train: with what WebSocket puts before it, a segment of TCP on an Ethernet.
pub const MAX_PADDING_BYTES: usize = 1_400;
/// An uplink that a train finds faster, in bits per second, is left to be measured by what it carries.
pub const MAX_PROBED_BPS: u64 = 8_000_000;

/// The most links a node keeps at once.
pub const MAX_LINKS: usize = 256;
/// The most connections that have not said a valid Hello yet, per server.
pub const MAX_UNGREETED: usize = 512;
/// The most contents a node streams at once.
pub const MAX_OPEN_CONTENTS: usize = 64;
/// The most requests one neighbour may have queued at an uploader.
pub const MAX_QUEUED_REQUESTS: usize = 1024;
/// The most reader positions of one content.
pub const MAX_READERS: usize = 32;

/// How long a connection may take to say a valid Hello.
pub const HANDSHAKE_TIMEOUT_MS: u64 = 5_000;
/// How often a quiet link is pinged.
pub const PING_INTERVAL_MS: u64 = 4_000;
/// How long a link may say nothing before it is given up.
pub const SILENCE_TIMEOUT_MS: u64 = 13_000;

const _: () =
    assert!(INITIAL_CREDIT_BYTES >= MAX_PAYLOAD_BYTES as u64 && INITIAL_CREDIT_BYTES <= MAX_CREDIT_BYTES);
const _: () = assert!(MAX_CHUNK_LEAVES.is_power_of_two() && BRANCH_LEAVES.is_power_of_two());
const _: () = assert!((MAX_BRANCH_PAIRS + MAX_PROOF_NODES) * 64 + 64 <= MAX_BODY_BYTES);
/// The longest catalogue entry: its texts with their lengths, its seeds, its numbers; and a removal beside it.
const MAX_ENTRY_BYTES: usize =
    MAX_NAME_BYTES + (MAX_CODECS + 4) * (MAX_TEXT_BYTES + 1) + MAX_SEEDS * 54 + 96 + 32;
const _: () = assert!(MAX_DELTA_FILES * MAX_ENTRY_BYTES <= MAX_BODY_BYTES);
const _: () = assert!(MAX_COVER_BYTES + MAX_WAVEFORM + MAX_TIME_INDEX * 12 <= MAX_BODY_BYTES);
const _: () = assert!(MAX_HAVE_RANGES * 8 <= MAX_BODY_BYTES);
const _: () = assert!(PING_INTERVAL_MS * 3 < SILENCE_TIMEOUT_MS);
const _: () = assert!(SILENCE_TIMEOUT_MS < 15_000);
