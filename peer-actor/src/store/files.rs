//! The files behind a content: one shared file with its tree, or the folder of a partial content.
//!
//! Invariant: reads and writes are positional, through the handle cache; nothing here decides what is verified.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use shared::{
    ContentId, LeafSet,
    content::{VerifiedPairs, geometry::PAIR_BYTES, outboard_bytes},
    limits::MAX_CONTENT_BYTES,
    units::leaf_count,
    wire::ProofPair,
};
use tracing::warn;

use super::{
    content::unix_s,
    handles::Handles,
    map::{BootId, HEADER_BYTES, Header},
};

/// The hash tree of a shared file: in memory, or in a file that is read pair by pair.
#[derive(Debug, Clone)]
pub enum Outboard {
    /// The pairs in pre-order.
    Memory(Arc<[u8]>),
    /// A file of the pairs in pre-order.
    File(PathBuf),
}

/// Reads and writes positions of a content's files.
#[derive(Debug)]
pub(super) struct Files {
    number: u64,
    place: Place,
    handles: Arc<Handles>,
}

#[derive(Debug)]
enum Place {
    Shared { path: PathBuf, outboard: Outboard },
    Partial { dir: PathBuf },
}

/// What a partial content's folder says.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) header: Header,
    pub(super) held: LeafSet,
    /// When the map was written last, in seconds since 1970.
    pub(super) used_at_s: u64,
}

impl Files {
    pub(super) fn shared(path: PathBuf, outboard: Outboard, handles: Arc<Handles>) -> Self {
        Self { number: next_number(), place: Place::Shared { path, outboard }, handles }
    }

    pub(super) fn partial(dir: PathBuf, handles: Arc<Handles>) -> Self {
        Self { number: next_number(), place: Place::Partial { dir }, handles }
    }

    /// Makes the folder of an empty partial content. It appears under its name only once it is whole.
    pub(super) fn create(dir: &Path, content_id: ContentId, size_bytes: u64, name: &str) -> io::Result<()> {
        let building = dir.with_extension(NEW_EXTENSION);
        remove_dir(&building)?;
        fs::create_dir_all(&building)?;
        File::create(building.join(BYTES))?.set_len(size_bytes)?;
        File::create(building.join(TREE))?.set_len(outboard_bytes(size_bytes))?;
        let header = Header { dirty: false, size_bytes, content_id, boot: [0; 16] };
        let map = File::create(building.join(MAP))?;
        map.set_len(header.file_bytes())?;
        map.write_all_at(&header.encode(), 0)?;
        fs::write(building.join(NAME), name)?;
        fs::rename(&building, dir)
    }

    /// Reads what the folder of a partial content says; an error of kind `InvalidData` says what is malformed.
    pub(super) fn load(dir: &Path) -> io::Result<Loaded> {
        let file = File::open(dir.join(MAP))?;
        let metadata = file.metadata()?;
        if metadata.len() > MAX_MAP_BYTES {
            return Err(malformed("the map is longer than any"));
        }
        let mut map = vec![0; metadata.len() as usize];
        file.read_exact_at(&mut map, 0)?;
        let header = Header::decode(&map).ok_or_else(|| malformed("the map's header is damaged"))?;
        let is_named_so =
            dir.file_name().and_then(OsStr::to_str).is_some_and(|name| name == header.content_id.to_string());
        if !is_named_so {
            return Err(malformed("the map belongs to another content"));
        }
        let held = LeafSet::from_packed(leaf_count(header.size_bytes), &map[HEADER_BYTES as usize..])
            .ok_or_else(|| malformed("the map's bits are damaged"))?;
        if fs::metadata(dir.join(BYTES))?.len() != header.size_bytes {
            return Err(malformed("the bytes have another length"));
        }
        if fs::metadata(dir.join(TREE))?.len() != outboard_bytes(header.size_bytes) {
            return Err(malformed("the tree has another length"));
        }
        Ok(Loaded { header, held, used_at_s: metadata.modified().map_or(0, unix_s) })
    }

    /// Where the bytes are.
    pub(super) fn bytes_path(&self) -> PathBuf {
        match &self.place {
            Place::Shared { path, .. } => path.clone(),
            Place::Partial { dir } => dir.join(BYTES),
        }
    }

    /// The file name, for people; nothing else needs it, so it is read when somebody asks.
    pub(super) fn name(&self) -> String {
        match &self.place {
            Place::Shared { path, .. } => {
                path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
            }
            Place::Partial { dir } => {
                String::from_utf8_lossy(&fs::read(dir.join(NAME)).unwrap_or_default()).into_owned()
            }
        }
    }

    pub(super) fn read_bytes_at(&self, buf: &mut [u8], at: u64) -> io::Result<()> {
        self.bytes()?.read_exact_at(buf, at)
    }

    pub(super) fn write_bytes_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.bytes()?.write_all_at(bytes, at)
    }

    /// Gives the disk back what bytes from `at` on took; they read as zeros from then on.
    pub(super) fn punch_hole(&self, at: u64, len: u64) -> io::Result<()> {
        punch_hole(&*self.bytes()?, at, len)
    }

    pub(super) fn read_pair(&self, index: u64) -> io::Result<ProofPair> {
        let mut pair = [[0; 32]; 2];
        self.read_pairs_at(std::slice::from_mut(&mut pair), index)?;
        Ok(pair)
    }

    /// So many pairs that lie side by side.
    pub(super) fn read_pairs(&self, first: u64, count: usize) -> io::Result<Vec<ProofPair>> {
        let mut pairs = vec![[[0; 32]; 2]; count];
        self.read_pairs_at(&mut pairs, first)?;
        Ok(pairs)
    }

    fn read_pairs_at(&self, pairs: &mut [ProofPair], first: u64) -> io::Result<()> {
        let bytes = pairs.as_flattened_mut().as_flattened_mut();
        let at = first * PAIR_BYTES;
        if let Place::Shared { outboard: Outboard::Memory(stored), .. } = &self.place {
            let from = at as usize;
            bytes.copy_from_slice(stored.get(from..from + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
            return Ok(());
        }
        self.tree()?.read_exact_at(bytes, at)
    }

    /// Writes what a verified chunk or branch brought.
    pub(super) fn write_verified(&self, pairs: &VerifiedPairs) -> io::Result<()> {
        self.write_pairs(pairs.first_inner, &pairs.inner)?;
        pairs.path.iter().try_for_each(|(index, pair)| self.write_pairs(*index, std::slice::from_ref(pair)))
    }

    pub(super) fn write_pairs(&self, first: u64, pairs: &[ProofPair]) -> io::Result<()> {
        if pairs.is_empty() {
            return Ok(());
        }
        self.tree()?.write_all_at(pairs.as_flattened().as_flattened(), first * PAIR_BYTES)
    }

    pub(super) fn write_map_bits(&self, first_byte: u64, bits: &[u8]) -> io::Result<()> {
        self.map()?.write_all_at(bits, HEADER_BYTES + first_byte)
    }

    /// Rewrites the header; it is on disk when this returns.
    pub(super) fn write_header(&self, header: &Header) -> io::Result<()> {
        let map = self.map()?;
        map.write_all_at(&header.encode(), 0)?;
        map.sync_data()
    }

    /// Forces bytes, then tree, then map to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.bytes()?.sync_data()?;
        self.tree()?.sync_data()?;
        self.map()?.sync_data()
    }

    /// Takes the folder of a partial content out of its place, whole or not at all. [`Doomed::delete`] then takes its time.
    pub(super) fn doom(&self) -> io::Result<Doomed> {
        self.close();
        let Place::Partial { dir } = &self.place else { return Err(io::ErrorKind::Unsupported.into()) };
        let doomed = dir.with_extension(format!("{}.{OLD_EXTENSION}", self.number));
        fs::rename(dir, &doomed)?;
        Ok(Doomed(doomed))
    }

    /// Forgets open handles.
    pub(super) fn close(&self) {
        self.handles.forget(self.number);
    }

    fn bytes(&self) -> io::Result<Arc<File>> {
        match &self.place {
            Place::Shared { path, .. } => self.handles.get((self.number, BYTES), || File::open(path)),
            Place::Partial { dir } => self.handles.get((self.number, BYTES), || read_write(&dir.join(BYTES))),
        }
    }

    fn tree(&self) -> io::Result<Arc<File>> {
        match &self.place {
            Place::Shared { outboard: Outboard::File(path), .. } => {
                self.handles.get((self.number, TREE), || File::open(path))
            }
            Place::Shared { outboard: Outboard::Memory(_), .. } => Err(io::ErrorKind::Unsupported.into()),
            Place::Partial { dir } => self.handles.get((self.number, TREE), || read_write(&dir.join(TREE))),
        }
    }

    fn map(&self) -> io::Result<Arc<File>> {
        match &self.place {
            Place::Shared { .. } => Err(io::ErrorKind::Unsupported.into()),
            Place::Partial { dir } => self.handles.get((self.number, MAP), || read_write(&dir.join(MAP))),
        }
    }
}

/// A folder that is never taken for a content again, even if the process dies before it is deleted.
#[derive(Debug)]
pub(super) struct Doomed(PathBuf);

impl Doomed {
    pub(super) fn delete(self) -> io::Result<()> {
        remove_dir(&self.0)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.close();
    }
}

impl Outboard {
    /// How long it is.
    pub(super) fn len_bytes(&self) -> io::Result<u64> {
        match self {
            Self::Memory(pairs) => Ok(pairs.len() as u64),
            Self::File(path) => fs::metadata(path).map(|metadata| metadata.len()),
        }
    }
}

impl From<Vec<u8>> for Outboard {
    fn from(pairs: Vec<u8>) -> Self {
        Self::Memory(pairs.into())
    }
}

impl From<Arc<[u8]>> for Outboard {
    fn from(pairs: Arc<[u8]>) -> Self {
        Self::Memory(pairs)
    }
}

impl From<PathBuf> for Outboard {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

/// The boot this process lives in; zero where the system does not say.
pub(super) fn boot_id() -> BootId {
    let digits: String = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: Vec<u8> =
        digits.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    let mut boot = [0; 16];
    for (byte, pair) in boot.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    boot
}

/// Whether an interrupted creation or deletion left it behind, or it was set aside at an earlier start.
pub(super) fn is_left_over(path: &Path) -> bool {
    let is_extension =
        |end: &OsStr| [NEW_EXTENSION, OLD_EXTENSION, DAMAGED_EXTENSION].iter().any(|it| end == *it);
    path.extension().is_some_and(is_extension)
}

/// Moves what was left over into one folder, so that its places are free at once and deleting it can take its time.
pub(super) fn doom_left_overs(cache_dir: &Path, left_over: &[PathBuf]) -> Option<Doomed> {
    if left_over.is_empty() {
        return None;
    }
    let unused = (0_u64..).map(|number| cache_dir.join(format!("left-{number}.{OLD_EXTENSION}")));
    let doomed = unused.into_iter().find(|dir| !dir.exists())?;
    if let Err(error) = fs::create_dir(&doomed) {
        warn!(path = %doomed.display(), %error, "left-over cache folders cannot be removed");
        return None;
    }
    for path in left_over {
        let moved = path.file_name().map_or(Ok(()), |name| fs::rename(path, doomed.join(name)));
        if let Err(error) = moved {
            warn!(path = %path.display(), %error, "left-over cache folder cannot be removed");
        }
    }
    Some(Doomed(doomed))
}

/// Puts a folder that makes no sense out of the way; it stays until the next start, for whoever wants to look.
pub(super) fn set_aside(dir: &Path) -> io::Result<()> {
    let aside = dir.with_extension(DAMAGED_EXTENSION);
    remove_dir(&aside)?;
    fs::rename(dir, aside)
}

fn remove_dir(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(target_os = "linux")]
fn punch_hole(file: &File, at: u64, len: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    Ok(fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, at, len)?)
}

#[cfg(not(target_os = "linux"))]
fn punch_hole(_: &File, _: u64, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn read_write(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The length of the map of the largest content.
const MAX_MAP_BYTES: u64 = HEADER_BYTES + leaf_count(MAX_CONTENT_BYTES).div_ceil(8) as u64;

const BYTES: &str = "bytes";
const TREE: &str = "tree";
const MAP: &str = "map";
const NAME: &str = "name";
const NEW_EXTENSION: &str = "new";
const OLD_EXTENSION: &str = "old";
const DAMAGED_EXTENSION: &str = "damaged";
