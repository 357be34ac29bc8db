//! Payload buffers that are used again and again: a fresh megabyte costs the kernel as much as copying it.
//!
//! Large ones are mapped, not allocated: they are taken on one thread and given back on another, and an allocator that keeps a heap for each
//! thread would keep in every one of them what any of them once needed. What is not kept here goes back to the kernel.
//!
//! Invariant: at most [`IDLE_BUFFER_BYTES`] lie idle, whatever was in use before, and large ones do not give way to small ones, of which
//! the allocator has plenty. A buffer may hold bytes of its last use; whoever takes one writes it before reading it.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use memmap2::MmapMut;
use shared::limits::IDLE_BUFFER_BYTES;

/// Buffers below this are allocated.
const MAPPED_BYTES: usize = 16 * 1024;
/// Buffers below this share an eighth of what may lie idle.
const LARGE_BYTES: usize = 64 * 1024;

/// log2 of the smallest kept buffer, and of what is larger than any.
const SMALLEST_LOG: u32 = 14;
const LARGEST_LOG: u32 = 21;
/// Four sizes between a power of two and the next, so that a chunk with its head takes little more than a chunk.
const CLASSES: usize = 4 * (LARGEST_LOG - SMALLEST_LOG) as usize;

static IDLE: Mutex<Idle> =
    Mutex::new(Idle { small_bytes: 0, large_bytes: 0, classes: [const { Vec::new() }; CLASSES] });

#[derive(Debug)]
struct Idle {
    small_bytes: usize,
    large_bytes: usize,
    classes: [Vec<Memory>; CLASSES],
}

/// Some bytes of memory; given back when dropped, also as [`Bytes`].
pub struct Buffer {
    memory: Memory,
    len: usize,
}

#[derive(Debug)]
enum Memory {
    Allocated(Box<[u8]>),
    Mapped(MmapMut),
}

impl Memory {
    fn of(len: usize) -> Self {
        let mapped = if len < MAPPED_BYTES { None } else { MmapMut::map_anon(len).ok() };
        mapped.map_or_else(|| Self::Allocated(vec![0; len].into()), Self::Mapped)
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Allocated(bytes) => bytes,
            Self::Mapped(bytes) => bytes,
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Allocated(bytes) => bytes,
            Self::Mapped(bytes) => bytes,
        }
    }

    fn len(&self) -> usize {
        self.bytes().len()
    }
}

impl Buffer {
    /// A buffer of `len` bytes. What is in them is not specified.
    pub fn of(len: usize) -> Self {
        let memory = take(len).unwrap_or_else(|| Memory::of(class_of(len).map_or(len, class_bytes)));
        Self { memory, len }
    }

    /// Forgets all but the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// The written buffer, to be shared.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.memory.bytes()[..self.len]
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_ref()
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory.bytes_mut()[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let memory = std::mem::replace(&mut self.memory, Memory::Allocated(Box::default()));
        let Some(class) = class_of(memory.len()).filter(|class| class_bytes(*class) == memory.len()) else {
            return;
        };
        let mut idle = idle();
        let (idle_bytes, most_bytes) = idle.share_of(memory.len());
        if *idle_bytes + memory.len() <= most_bytes {
            *idle_bytes += memory.len();
            idle.classes[class].push(memory);
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("len", &self.len).finish_non_exhaustive()
    }
}

fn take(len: usize) -> Option<Memory> {
    let class = class_of(len)?;
    let mut idle = idle();
    let memory = idle.classes[class].pop()?;
    *idle.share_of(memory.len()).0 -= memory.len();
    Some(memory)
}

impl Idle {
    /// What lies idle of buffers like this, and how much of them may.
    const fn share_of(&mut self, bytes: usize) -> (&mut usize, usize) {
        const SMALL_SHARE_BYTES: usize = IDLE_BUFFER_BYTES / 8;
        if bytes < LARGE_BYTES {
            (&mut self.small_bytes, SMALL_SHARE_BYTES)
        } else {
            (&mut self.large_bytes, IDLE_BUFFER_BYTES - SMALL_SHARE_BYTES)
        }
    }
}

/// The kept size that fits; none for what is larger than any.
fn class_of(len: usize) -> Option<usize> {
    let last_byte = len.saturating_sub(1).max((1 << SMALLEST_LOG) - 1);
    let quarter_log = last_byte.ilog2().saturating_sub(2);
    let class = 4 * (last_byte.ilog2() as usize + 1 - SMALLEST_LOG as usize) + (last_byte >> quarter_log) - 7;
    (class < CLASSES).then_some(class)
}

/// The inverse: four steps to each power of two.
const fn class_bytes(class: usize) -> usize {
    (4 + class % 4) << (SMALLEST_LOG as usize - 2 + class / 4)
}

fn idle() -> MutexGuard<'static, Idle> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_size_fits_and_wastes_less_than_a_quarter() {
        for class in 0..CLASSES {
            assert_eq!(class_of(class_bytes(class)), Some(class));
        }
        for len in (1..=7 << 18).step_by(977) {
            let Some(class) = class_of(len) else { panic!("{len} is not kept") };
            let kept = class_bytes(class);
            assert!(kept >= len && kept <= (len + len / 4 + 1).max(1 << SMALLEST_LOG), "{len} takes {kept}");
        }
        assert_eq!(class_of(1 << 22), None);
    }

    #[test]
    fn a_buffer_is_as_long_as_asked_and_what_lies_idle_is_bounded() {
        for len in [0, 1, 16 * 1024, 16 * 1024 + 1, 1 << 20, (1 << 20) + 77, (1 << 21) + 1] {
            let mut buffer = Buffer::of(len);
            buffer.fill(7);
            let bytes = buffer.freeze();
            assert_eq!(bytes.len(), len);
            assert!(bytes.iter().all(|byte| *byte == 7));
        }
        for len in [1 << 20, 1 << 14] {
            let many: Vec<Buffer> = (0..1_000).map(|_| Buffer::of(len)).collect();
            drop(many);
        }
        let idle = idle();
        let counted: usize = idle.classes.iter().flatten().map(|memory| memory.len()).sum();
        assert_eq!(idle.small_bytes + idle.large_bytes, counted);
        assert!(counted <= IDLE_BUFFER_BYTES);
        assert!(idle.large_bytes >= 1 << 20, "small ones did not push out the large");
    }
}
