//! What is remembered of files over a restart: a redb database, and one file per hash tree.
//!
//! Invariant: a row says that a version of a file (place on the disk, length, time) has a content id whose tree was written before. A
//! database that is damaged is kept under another name and begun anew: every file is hashed again, and folders that were shared by command
//! must be shared again, which a person is told. One that cannot be read for any other reason is left as it is. Blocking; used by worker
//! threads.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use redb::{
    Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, StorageError, TableDefinition,
};
use serde::{Deserialize, Serialize};
use shared::{
    ContentId,
    content::outboard_bytes,
    wire::{FileEntry, Hints},
};
use thiserror::Error;
use tracing::warn;

use super::state::Stamp;

/// Files that no scan has seen for so long are forgotten.
pub const FORGET_AFTER_DAYS: u64 = 30;

/// A version of a file, by place, length and time, to what it holds.
const FILES: TableDefinition<'_, StampKey, (&[u8; 32], u64)> = TableDefinition::new("files");
/// A content to its description as JSON.
const CONTENTS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("contents");
/// A content to its picture.
const COVERS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("covers");
/// Folders shared by command, as the system's bytes.
const SHARES: TableDefinition<'_, &[u8], ()> = TableDefinition::new("shares");

type StampKey = (u64, u64, u64, i64);

/// Why the index's data folder cannot be used.
#[derive(Debug, Error)]
pub enum PersistenceError {
    /// Another process uses it.
    #[error("the data folder {} is in use by another Rusteze process", .0.display())]
    InUse(PathBuf),
    /// The folder or the database in it cannot be read or written.
    #[error("{} cannot be used: {error}", path.display())]
    Folder {
        /// Which of them.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// The database failed.
    #[error("the file index failed: {0}")]
    Database(Box<redb::Error>),
}

#[derive(Debug)]
pub(super) struct Persistence {
    database: Database,
    outboards: PathBuf,
    /// The damaged database that this one takes the place of.
    damaged: Option<PathBuf>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Description {
    entry: FileEntry,
    startup_ranges: Vec<(u64, u64)>,
    time_index: Vec<(u32, u64)>,
    /// What was described by an earlier version has none.
    #[serde(default)]
    waveform: Vec<u8>,
}

impl Persistence {
    pub(super) fn open(data_dir: &Path) -> Result<Self, PersistenceError> {
        let outboards = data_dir.join("outboards");
        let folder_error = |error| PersistenceError::Folder { path: outboards.clone(), error };
        fs::create_dir_all(&outboards).map_err(folder_error)?;
        let path = data_dir.join("index.redb");
        let mut damaged = None;
        let database = match Database::create(&path) {
            Ok(database) => database,
            Err(DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch) => {
                return Err(PersistenceError::InUse(data_dir.to_owned()));
            }
            Err(error) if is_damage(&error) => {
                let aside = unused_beside(&path);
                warn!(path = %path.display(), aside = %aside.display(), %error, "file index is damaged; begun anew, every file is hashed again");
                fs::rename(&path, &aside).map_err(folder_error)?;
                damaged = Some(aside);
                Database::create(&path)?
            }
            Err(DatabaseError::Storage(StorageError::Io(error))) => {
                return Err(PersistenceError::Folder { path, error });
            }
            Err(error) => return Err(error.into()),
        };
        let transaction = database.begin_write()?;
        transaction.open_table(FILES)?;
        transaction.open_table(CONTENTS)?;
        transaction.open_table(COVERS)?;
        transaction.open_table(SHARES)?;
        transaction.commit()?;
        Ok(Self { database, outboards, damaged })
    }

    /// Where the database is kept that was damaged, so that this one was begun.
    pub(super) fn damaged(&self) -> Option<&Path> {
        self.damaged.as_deref()
    }

    /// What is remembered of these versions, in the same order. A file whose tree is not there is not known.
    pub(super) fn recall(&self, stamps: &[Stamp]) -> Result<Vec<Option<FileEntry>>, PersistenceError> {
        let transaction = self.database.begin_read()?;
        let (files, contents) = (transaction.open_table(FILES)?, transaction.open_table(CONTENTS)?);
        let (today, mut stale) = (today(), Vec::new());
        let mut recalled = Vec::with_capacity(stamps.len());
        for stamp in stamps {
            let row = files.get(key(stamp))?.map(|row| (*row.value().0, row.value().1));
            let entry = match row {
                Some((content_id, seen_on)) => {
                    if seen_on != today {
                        stale.push((*stamp, content_id));
                    }
                    let description = contents.get(&content_id)?;
                    description.and_then(|json| serde_json::from_slice::<Description>(json.value()).ok())
                }
                None => None,
            };
            let entry = entry.map(|description| description.entry).filter(FileEntry::is_valid);
            recalled.push(entry.filter(|entry| self.has_outboard(entry)));
        }
        drop((files, contents));
        if !stale.is_empty() {
            let transaction = self.database.begin_write()?;
            for (stamp, content_id) in &stale {
                transaction.open_table(FILES)?.insert(key(stamp), (content_id, today))?;
            }
            transaction.commit()?;
        }
        Ok(recalled)
    }

    /// Remembers a version of a file; its tree is on the disk first.
    pub(super) fn remember(
        &self,
        stamp: &Stamp,
        entry: &FileEntry,
        hints: &Hints,
        outboard: &[u8],
    ) -> Result<(), PersistenceError> {
        let content_id = entry.content_id;
        self.write_outboard(content_id, outboard).map_err(|error| self.folder_error(error))?;
        let Hints { startup_ranges, time_index, cover_jpeg, waveform } = hints.clone();
        let description = Description { entry: entry.clone(), startup_ranges, time_index, waveform };
        let json = serde_json::to_vec(&description).map_err(|error| self.folder_error(error.into()))?;
        let transaction = self.database.begin_write()?;
        transaction.open_table(FILES)?.insert(key(stamp), (content_id.as_bytes(), today()))?;
        transaction.open_table(CONTENTS)?.insert(content_id.as_bytes(), json.as_slice())?;
        transaction.open_table(COVERS)?.insert(content_id.as_bytes(), cover_jpeg.as_slice())?;
        transaction.commit()?;
        Ok(())
    }

    /// Forgets a version of a file, which is not what was remembered.
    pub(super) fn forget(&self, stamp: &Stamp) -> Result<(), PersistenceError> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(FILES)?.remove(key(stamp))?;
        transaction.commit()?;
        Ok(())
    }

    pub(super) fn hints(&self, content_id: ContentId) -> Result<Option<Hints>, PersistenceError> {
        let transaction = self.database.begin_read()?;
        let Some(json) = transaction.open_table(CONTENTS)?.get(content_id.as_bytes())? else {
            return Ok(None);
        };
        let Ok(description) = serde_json::from_slice::<Description>(json.value()) else { return Ok(None) };
        let cover = transaction.open_table(COVERS)?.get(content_id.as_bytes())?;
        let hints = Hints {
            startup_ranges: description.startup_ranges,
            time_index: description.time_index,
            cover_jpeg: cover.map(|cover| cover.value().to_vec()).unwrap_or_default(),
            waveform: description.waveform,
        };
        Ok(Some(hints).filter(Hints::is_valid))
    }

    pub(super) fn shares(&self) -> Result<Vec<PathBuf>, PersistenceError> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(SHARES)?;
        let mut shares = Vec::new();
        for row in table.iter()? {
            shares.push(path_of(row?.0.value()));
        }
        Ok(shares)
    }

    pub(super) fn set_shared(&self, folder: &Path, shared: bool) -> Result<(), PersistenceError> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(SHARES)?;
            if shared {
                table.insert(folder.as_os_str().as_encoded_bytes(), ())?;
            } else {
                table.remove(folder.as_os_str().as_encoded_bytes())?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn has_outboard(&self, entry: &FileEntry) -> bool {
        let found = fs::metadata(self.outboard_path(entry.content_id));
        found.is_ok_and(|found| found.len() == outboard_bytes(entry.size_bytes))
    }

    /// Where the tree of a content is kept.
    pub(super) fn outboard_path(&self, content_id: ContentId) -> PathBuf {
        self.outboards.join(content_id.to_string())
    }

    /// Forgets what no scan has seen for long, and the trees nothing refers to.
    pub(super) fn collect_garbage(&self) -> Result<(), PersistenceError> {
        let oldest = today().saturating_sub(FORGET_AFTER_DAYS);
        let transaction = self.database.begin_write()?;
        {
            let mut files = transaction.open_table(FILES)?;
            files.retain(|_, (_, seen_on)| seen_on >= oldest)?;
            let mut live = std::collections::BTreeSet::new();
            for row in files.iter()? {
                live.insert(*row?.1.value().0);
            }
            transaction.open_table(CONTENTS)?.retain(|content_id, _| live.contains(content_id))?;
            transaction.open_table(COVERS)?.retain(|content_id, _| live.contains(content_id))?;
            self.remove_outboards_except(&live).map_err(|error| self.folder_error(error))?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn remove_outboards_except(&self, live: &std::collections::BTreeSet<[u8; 32]>) -> io::Result<()> {
        for entry in fs::read_dir(&self.outboards)? {
            let entry = entry?;
            let content_id = entry.file_name().to_str().and_then(|name| name.parse::<ContentId>().ok());
            if content_id.is_none_or(|content_id| !live.contains(content_id.as_bytes())) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn write_outboard(&self, content_id: ContentId, outboard: &[u8]) -> io::Result<()> {
        let mut building = tempfile::NamedTempFile::new_in(&self.outboards)?;
        building.write_all(outboard)?;
        building.as_file().sync_data()?;
        building.persist(self.outboard_path(content_id)).map_err(|error| error.error)?;
        Ok(())
    }

    fn folder_error(&self, error: io::Error) -> PersistenceError {
        PersistenceError::Folder { path: self.outboards.clone(), error }
    }
}

impl<E: Into<redb::Error>> From<E> for PersistenceError {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

/// Whether what the file holds makes no sense, or none to this version. What the system refuses may be granted at the next start.
fn is_damage(error: &DatabaseError) -> bool {
    if let DatabaseError::Storage(StorageError::Io(error)) = error {
        return matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof);
    }
    matches!(error, DatabaseError::Storage(StorageError::Corrupted(_)) | DatabaseError::UpgradeRequired(_))
}

/// A name that nothing has yet, so that nothing set aside earlier is lost.
fn unused_beside(path: &Path) -> PathBuf {
    let numbered = (2_u32..).map(|number| format!("redb.damaged-{number}"));
    let mut names =
        std::iter::once("redb.damaged".to_owned()).chain(numbered).map(|end| path.with_extension(end));
    names.find(|name| !name.exists()).unwrap_or_else(|| path.with_extension("redb.damaged"))
}

const fn key(stamp: &Stamp) -> StampKey {
    (stamp.place.0, stamp.place.1, stamp.size_bytes, stamp.mtime_ns)
}

fn today() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400)
}

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> PathBuf {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
    OsStr::from_bytes(bytes).into()
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> PathBuf {
    String::from_utf8_lossy(bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use shared::MediaKind;
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_known_version_is_recalled_and_another_is_not() {
        let dir = TempDir::new().unwrap();
        let (entry, hints) = (
            entry(1),
            Hints {
                cover_jpeg: vec![1, 2],
                startup_ranges: vec![(0, 9)],
                waveform: vec![3, 255],
                ..Hints::default()
            },
        );
        let index = Persistence::open(dir.path()).unwrap();
        index.remember(&stamp(1), &entry, &hints, &TREE).unwrap();
        drop(index);
        let index = Persistence::open(dir.path()).unwrap();
        assert_eq!(index.recall(&[stamp(2), stamp(1)]).unwrap(), [None, Some(entry.clone())]);
        assert_eq!(index.hints(entry.content_id).unwrap(), Some(hints));
        assert_eq!(fs::read(index.outboard_path(entry.content_id)).unwrap(), TREE);
        index.forget(&stamp(1)).unwrap();
        assert_eq!(index.recall(&[stamp(1)]).unwrap(), [None]);
    }

    #[test]
    fn a_version_whose_tree_is_not_whole_is_not_recalled() {
        let dir = TempDir::new().unwrap();
        let index = Persistence::open(dir.path()).unwrap();
        let entry = entry(1);
        index.remember(&stamp(1), &entry, &Hints::default(), &TREE).unwrap();
        let tree = index.outboard_path(entry.content_id);
        fs::write(&tree, &TREE[1..]).unwrap();
        assert_eq!(index.recall(&[stamp(1)]).unwrap(), [None]);
        fs::remove_file(&tree).unwrap();
        assert_eq!(index.recall(&[stamp(1)]).unwrap(), [None]);
        index.remember(&stamp(1), &entry, &Hints::default(), &TREE).unwrap();
        assert_eq!(index.recall(&[stamp(1)]).unwrap(), [Some(entry)]);
    }

    #[test]
    fn what_nothing_refers_to_is_collected() {
        let dir = TempDir::new().unwrap();
        let index = Persistence::open(dir.path()).unwrap();
        let (kept, gone) = (entry(1), entry(2));
        index.remember(&stamp(1), &kept, &Hints::default(), &TREE).unwrap();
        index.remember(&stamp(2), &gone, &Hints::default(), &TREE).unwrap();
        index.forget(&stamp(2)).unwrap();
        index.collect_garbage().unwrap();
        assert!(
            index.outboard_path(kept.content_id).exists() && !index.outboard_path(gone.content_id).exists()
        );
        assert_eq!(index.hints(gone.content_id).unwrap(), None);
        assert_eq!(index.recall(&[stamp(1)]).unwrap(), [Some(kept)]);
    }

    #[test]
    fn a_damaged_database_is_begun_anew() {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("index.redb"), b"this is no database").unwrap();
        let index = Persistence::open(dir.path()).unwrap();
        assert_eq!(index.recall(&[stamp(1)]).unwrap(), [None]);
        assert!(dir.path().join("index.redb.damaged").exists());
        drop(index);
        fs::write(dir.path().join("index.redb"), b"nor is this").unwrap();
        let index = Persistence::open(dir.path()).unwrap();
        let aside = dir.path().join("index.redb.damaged-2");
        assert_eq!(index.damaged(), Some(aside.as_path()));
        assert_eq!(fs::read(aside).unwrap(), b"nor is this");
        assert_eq!(fs::read(dir.path().join("index.redb.damaged")).unwrap(), b"this is no database");
    }

    #[test]
    fn a_database_the_system_does_not_open_stays_where_it_is() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("index.redb");
        fs::create_dir(&path).unwrap();
        let Err(PersistenceError::Folder { path: told, .. }) = Persistence::open(dir.path()) else {
            panic!("opened")
        };
        assert!(told == path && path.is_dir());
    }

    #[test]
    fn a_second_index_on_the_same_folder_is_refused() {
        let dir = TempDir::new().unwrap();
        let _index = Persistence::open(dir.path()).unwrap();
        assert!(matches!(Persistence::open(dir.path()), Err(PersistenceError::InUse(_))));
    }

    #[cfg(unix)]
    #[test]
    fn shared_folders_are_remembered_whatever_their_name() {
        let dir = TempDir::new().unwrap();
        let index = Persistence::open(dir.path()).unwrap();
        let odd = path_of(b"/music/\xff\xfe");
        index.set_shared(&odd, true).unwrap();
        index.set_shared(Path::new("/films"), true).unwrap();
        index.set_shared(Path::new("/films"), false).unwrap();
        assert_eq!(index.shares().unwrap(), [odd]);
    }

    /// As long as that of 70,000 bytes.
    const TREE: [u8; 4 * 64] = [5; 4 * 64];

    fn stamp(number: u64) -> Stamp {
        Stamp { size_bytes: 70_000, mtime_ns: -5, place: (7, number) }
    }

    fn entry(number: u8) -> FileEntry {
        FileEntry {
            content_id: ContentId([number; 32]),
            name: "a.mp3".to_owned(),
            size_bytes: 70_000,
            kind: MediaKind::Audio,
            duration_ms: 1,
            bitrate_bps: 2,
            container: "mp3".to_owned(),
            codecs: vec!["mp3".to_owned()],
            width: 0,
            height: 0,
            title: String::new(),
            artist: String::new(),
            album: String::new(),
            has_cover: false,
        }
    }
}
