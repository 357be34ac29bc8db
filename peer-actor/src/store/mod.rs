//! The store: verified bytes of contents, shared in place or fetched into a cache.
//!
//! A *shared* content is somebody's own file, served where it lies, with its hash tree beside it. A *partial* content is one that is
//! being fetched (or has been), in `<cache>/<content id>/`:
//!
//! | file | holds |
//! | --- | --- |
//! | `bytes` | the content, sparse, at its full length from the start |
//! | `tree` | the hash tree in pre-order, sparse: 64 bytes a pair |
//! | `map` | a header, then one bit per verified leaf ([`map`]) |
//! | `name` | the file name, for people |
//!
//! **Only verified bytes get in, and what the map claims is there.** [`Content::ingest`] verifies a chunk against the content id, then
//! writes its bytes, then its pairs, then its bits. Hence:
//!
//! - *The process dies at any instant* (`kill -9`): every claimed leaf is there and verifies; every ingest that returned is claimed.
//! - *The machine dies*: the kernel may have written bits before bytes. Before the first bit of a session is written the map is marked
//!   dirty on disk, with the boot it belongs to; it is marked clean after bytes, tree and map were synced in this order and nobody has
//!   the content open. A map that is dirty from another boot is not believed: every leaf it claims is read and verified before it
//!   counts. Open contents are synced every [`SYNC_INTERVAL`], so about that much is fetched again.
//! - *The disk rots, or a shared file is edited*: whatever is served is verified against the content id while it is read. A rotten
//!   leaf is given up and fetched again; an edited file is withdrawn and whoever indexes it is told.
//!
//! **The quota** bounds verified bytes of partial contents. Room is made by deleting whole contents, least recently used first, that
//! nobody has open; then by punching out what those who have a content open do not need ([`Content::set_needs`]). If that is nothing,
//! [`IngestError::Full`] says so.
//!
//! Pairs may come ahead of the leaves they prove, a *branch* at a time ([`Content::ingest_branch`]); only memory knows of those.
//!
//! Everything here blocks; none of it knows actors or sockets. The table is locked for memory operations only, so that looking a content up
//! never waits for the disk, and a content's leaves for these and the few bytes of a map; folders are made and moved under a lock of their own.

mod branches;
mod changes;
mod content;
mod damage;
mod durable;
mod error;
mod export;
mod files;
mod handles;
mod ledger;
mod loading;
pub mod map;
mod opening;
mod recheck;
mod spare;
mod sync;
mod table;

pub use content::{Content, Ingested};
pub use error::{IngestError, ReadChunkError, StoreError};
pub use files::Outboard;
pub use table::{SYNC_INTERVAL, Store, StoreConfig};
