//! The file index over real folders: what lies in them is offered under its id, and follows what happens to them.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use actix::{Actor, Addr, Context, Handler};
use peer_actor::{
    file_index::{
        FileIndexActor, FileIndexConfig, FilesChanged, GetLocalHints, IndexNotice, ListShares, ShareError,
        ShareFolder, UnshareFolder,
    },
    probe::Probe,
    store::{ReadChunkError, Store, StoreConfig},
};
use shared::{ContentId, LeafRange, MediaKind, snapshot::ShareStatus, wire::FileEntry};
use tempfile::TempDir;

#[actix_rt::test]
async fn files_of_a_folder_are_offered_served_and_described() {
    let node = Node::start(&[]).await;
    let wav = node.put("music/a tune.wav", &wav(3, 1));
    node.put("music/notes.txt", b"not media");
    node.put("music/broken.mp3", b"nothing of the sort");
    node.put("music/empty.mp3", b"");
    node.share("music").await.unwrap();
    let files = node.until(|files| files.len() == 1).await;
    let entry = &files[0];
    assert_eq!(entry.content_id.0, *blake3::hash(&fs::read(&wav).unwrap()).as_bytes());
    assert_eq!(
        (entry.name.as_str(), entry.kind, entry.container.as_str()),
        ("a tune.wav", MediaKind::Audio, "wav")
    );
    assert!((2_900..3_100).contains(&entry.duration_ms), "{}", entry.duration_ms);
    let content = node.store.get(&entry.content_id).unwrap();
    let (_, payload) = content.read_chunk(LeafRange::new(1, 1), 0).unwrap();
    assert_eq!(payload, fs::read(&wav).unwrap()[16_384..32_768]);
    let hints = node.index.send(GetLocalHints { content_id: entry.content_id }).await.unwrap().unwrap();
    assert!(hints.is_valid() && !hints.startup_ranges.is_empty());
    assert_eq!((hints.waveform.len(), hints.waveform.iter().max()), (media::WAVEFORM_BARS, Some(&255)));
    node.until_noticed("broken.mp3").await;
    let share = node.status().await.remove(0);
    assert_eq!((share.files, share.pending_files, share.error), (1, 0, None));
}

#[actix_rt::test]
async fn a_restart_does_not_hash_again_and_a_missing_folder_is_no_harm() {
    let dir = TempDir::new().unwrap();
    let node = Node::start_in(dir, &["music"], None).await;
    node.put("music/a.wav", &wav(1, 1));
    node.put("music/b.wav", &wav(1, 2));
    let before = node.until(|files| files.len() == 2).await;
    let outboards = node.outboards();
    let dir = node.stop().await;
    for name in ["a.wav", "b.wav"] {
        // Whoever reads it again would find other bytes; nobody does.
        scramble_keeping_times(&dir.path().join("music").join(name));
    }
    let node = Node::start_in(dir, &["music", "not there"], None).await;
    let after = node.until(|files| files.len() == 2).await;
    assert_eq!(before, after);
    assert_eq!(node.outboards(), outboards);
    let missing = node.status().await.into_iter().find(|share| share.path.ends_with("not there")).unwrap();
    assert!(missing.error.is_some());
}

#[actix_rt::test]
async fn changes_are_followed_as_they_happen() {
    let node = Node::start(&["music"]).await;
    let path = node.put("music/a.wav", &wav(1, 1));
    let first = node.until(|files| files.len() == 1).await[0].content_id;
    fs::rename(&path, path.with_file_name("renamed.wav")).unwrap();
    let renamed = node.until(|files| files.first().is_some_and(|file| file.name == "renamed.wav")).await;
    assert_eq!(renamed[0].content_id, first);
    node.put("music/renamed.wav", &wav(1, 2));
    let edited = node.until(|files| files.first().is_some_and(|file| file.content_id != first)).await;
    assert!(node.store.get(&first).is_none());
    node.put("music/deeper/still/copy.wav", &wav(1, 2));
    node.put("music/deeper/other.wav", &wav(1, 3));
    node.until(|files| files.len() == 2).await;
    fs::remove_file(path.with_file_name("renamed.wav")).unwrap();
    let moved = node.until(|files| files.iter().any(|file| file.name == "copy.wav")).await;
    assert!(moved.iter().any(|file| file.content_id == edited[0].content_id));
    fs::remove_dir_all(node.dir.path().join("music/deeper")).unwrap();
    node.until(<[FileEntry]>::is_empty).await;
}

#[actix_rt::test]
async fn a_file_being_copied_is_offered_once_and_whole() {
    let node = Node::start(&["music"]).await;
    let bytes = wav(4, 1);
    for part in 1..=8 {
        node.put("music/slow.wav", &bytes[..bytes.len() * part / 8]);
        actix_rt::time::sleep(Duration::from_millis(300)).await;
    }
    let files = node.until(|files| files.len() == 1).await;
    assert_eq!(files[0].content_id.0, *blake3::hash(&bytes).as_bytes());
    assert_eq!(node.told().iter().map(|news| news.changed.len()).sum::<usize>(), 1);
}

#[actix_rt::test]
async fn a_folder_that_vanishes_and_returns_is_withdrawn_and_offered_again() {
    let node = Node::start(&["music"]).await;
    node.put("music/a.wav", &wav(1, 1));
    node.until(|files| files.len() == 1).await;
    let (music, away) = (node.dir.path().join("music"), node.dir.path().join("away"));
    fs::rename(&music, &away).unwrap();
    node.until(<[FileEntry]>::is_empty).await;
    node.until_status(|share| share.error.is_some()).await;
    fs::rename(&away, &music).unwrap();
    node.until(|files| files.len() == 1).await;
    node.until_status(|share| share.error.is_none()).await;
}

#[actix_rt::test]
async fn an_edit_that_hides_itself_is_found_when_it_is_served() {
    let node = Node::start(&["music"]).await;
    let path = node.put("music/a.wav", &wav(1, 1));
    let first = node.until(|files| files.len() == 1).await[0].content_id;
    let content = node.store.get(&first).unwrap();
    scramble_keeping_times(&path);
    assert!(matches!(content.read_chunk(LeafRange::new(0, 1), 0), Err(ReadChunkError::Altered)));
    let files = node.until(|files| files.first().is_some_and(|file| file.content_id != first)).await;
    assert_eq!(files[0].content_id.0, *blake3::hash(&fs::read(&path).unwrap()).as_bytes());
}

#[actix_rt::test]
async fn odd_names_loops_and_broken_links_do_no_harm() {
    let node = Node::start(&[]).await;
    let odd = node.dir.path().join("music").join(OsStr::from_bytes(b"od\xffd\n.wav"));
    fs::create_dir_all(odd.parent().unwrap()).unwrap();
    fs::write(&odd, wav(1, 1)).unwrap();
    let music = node.dir.path().join("music");
    symlink(&music, music.join("loop")).unwrap();
    symlink(music.join("nowhere"), music.join("dangling.wav")).unwrap();
    let elsewhere = node.put("elsewhere/linked.wav", &wav(1, 2));
    symlink(elsewhere.parent().unwrap(), music.join("linked")).unwrap();
    age(&odd);
    node.share("music").await.unwrap();
    let files = node.until(|files| files.len() == 2).await;
    let mut names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["linked.wav", "od\u{fffd}d_.wav"]);
    assert!(files.iter().all(FileEntry::is_valid));
    assert_eq!(node.notices(), [] as [String; 0]);
}

#[actix_rt::test]
async fn a_share_by_command_lasts_and_wrong_ones_are_refused_with_a_reason() {
    let node = Node::start(&[]).await;
    let file = node.put("music/a.wav", &wav(1, 1));
    node.share("music").await.unwrap();
    assert!(matches!(node.share("music").await, Err(ShareError::AlreadyShared(_))));
    assert!(matches!(node.share("nothing").await, Err(ShareError::Missing(_))));
    assert!(matches!(
        node.index.send(ShareFolder { path: file }).await.unwrap(),
        Err(ShareError::NotAFolder(_))
    ));
    node.until(|files| files.len() == 1).await;
    let node = Node::start_in(node.stop().await, &[], None).await;
    node.until(|files| files.len() == 1).await;
    let music = node.dir.path().join("music");
    node.index.send(UnshareFolder { path: music.clone() }).await.unwrap().unwrap();
    node.until(<[FileEntry]>::is_empty).await;
    assert!(matches!(
        node.index.send(UnshareFolder { path: music }).await.unwrap(),
        Err(ShareError::NotShared(_))
    ));
    let node = Node::start_in(node.stop().await, &[], None).await;
    assert_eq!(node.status().await, []);
}

#[actix_rt::test]
async fn a_client_of_one_kind_shares_only_its_kind() {
    let node = Node::start_in(TempDir::new().unwrap(), &["music"], Some(MediaKind::Video)).await;
    node.put("music/a.wav", &wav(1, 1));
    node.until_status(|share| share.pending_files > 0).await;
    node.until_status(|share| share.pending_files == 0).await;
    assert_eq!(node.files(), []);
    assert_eq!(node.notices(), [] as [String; 0]);
}

struct Node {
    dir: TempDir,
    store: Store,
    index: Addr<FileIndexActor>,
    listener: Arc<Mutex<Told>>,
}

#[derive(Default)]
struct Told {
    news: Vec<FilesChanged>,
    notices: Vec<String>,
}

impl Node {
    async fn start(shares: &[&str]) -> Self {
        Self::start_in(TempDir::new().unwrap(), shares, None).await
    }

    async fn start_in(dir: TempDir, shares: &[&str], kind: Option<MediaKind>) -> Self {
        let store =
            Store::open(StoreConfig { cache_dir: dir.path().join("cache"), quota_bytes: 1 << 20 }).unwrap();
        let listener = Arc::new(Mutex::new(Told::default()));
        let to = Listener(Arc::clone(&listener)).start();
        let config = FileIndexConfig {
            data_dir: dir.path().join("data"),
            kind,
            shares: shares.iter().map(|share| dir.path().join(share)).collect(),
            probe: Probe::IN_CHILD,
            store: store.clone(),
            files_changed: to.clone().recipient(),
            notices: Some(to.recipient()),
        };
        for share in shares.iter().filter(|share| !share.contains("not there")) {
            fs::create_dir_all(dir.path().join(share)).unwrap();
        }
        // The database of a node that just ended is let go of by its last thread.
        let started = Instant::now();
        let index = loop {
            match FileIndexActor::start(config.clone()) {
                Ok(index) => break index,
                Err(error) => assert!(started.elapsed() < Duration::from_secs(10), "{error}"),
            }
            actix_rt::time::sleep(Duration::from_millis(50)).await;
        };
        Self { dir, store, index, listener }
    }

    async fn stop(self) -> TempDir {
        let Self { dir, store, index, listener } = self;
        drop((store, index, listener));
        actix_rt::time::sleep(Duration::from_millis(100)).await;
        dir
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    async fn share(&self, name: &str) -> Result<(), ShareError> {
        self.index.send(ShareFolder { path: self.dir.path().join(name) }).await.unwrap()
    }

    async fn status(&self) -> Vec<ShareStatus> {
        self.index.send(ListShares).await.unwrap()
    }

    /// Waits until the files that were told of are as they should be, and the store serves each.
    async fn until(&self, fits: impl Fn(&[FileEntry]) -> bool) -> Vec<FileEntry> {
        let started = Instant::now();
        loop {
            let files = self.files();
            if fits(&files) && files.iter().all(|file| self.store.get(&file.content_id).is_some()) {
                return files;
            }
            assert!(started.elapsed() < Duration::from_secs(40), "{files:?}, {:?}", self.notices());
            actix_rt::time::sleep(Duration::from_millis(30)).await;
        }
    }

    async fn until_status(&self, fits: impl Fn(&ShareStatus) -> bool) {
        let started = Instant::now();
        while !self.status().await.iter().all(&fits) {
            assert!(started.elapsed() < Duration::from_secs(40), "{:?}", self.status().await);
            actix_rt::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn until_noticed(&self, text: &str) {
        let started = Instant::now();
        while !self.notices().iter().any(|notice| notice.contains(text)) {
            assert!(started.elapsed() < Duration::from_secs(40), "{:?}", self.notices());
            actix_rt::time::sleep(Duration::from_millis(30)).await;
        }
    }

    fn told(&self) -> Vec<FilesChanged> {
        self.listener.lock().unwrap().news.clone()
    }

    fn notices(&self) -> Vec<String> {
        self.listener.lock().unwrap().notices.clone()
    }

    /// What everything that was told adds up to.
    fn files(&self) -> Vec<FileEntry> {
        let mut files = std::collections::BTreeMap::<ContentId, FileEntry>::new();
        for news in self.told() {
            news.removed.iter().for_each(|content_id| drop(files.remove(content_id)));
            files.extend(news.changed.into_iter().map(|entry| (entry.content_id, entry)));
        }
        files.into_values().collect()
    }

    fn outboards(&self) -> Vec<(PathBuf, SystemTime)> {
        let entries = fs::read_dir(self.dir.path().join("data/outboards")).unwrap();
        let mut all: Vec<_> = entries
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.path(), entry.metadata().unwrap().modified().unwrap()))
            .collect();
        all.sort_unstable();
        all
    }
}

struct Listener(Arc<Mutex<Told>>);

impl Actor for Listener {
    type Context = Context<Self>;
}

impl Handler<FilesChanged> for Listener {
    type Result = ();

    fn handle(&mut self, news: FilesChanged, _: &mut Self::Context) {
        self.0.lock().unwrap().news.push(news);
    }
}

impl Handler<IndexNotice> for Listener {
    type Result = ();

    fn handle(&mut self, notice: IndexNotice, _: &mut Self::Context) {
        self.0.lock().unwrap().notices.push(notice.text);
    }
}

/// Noise as 16-bit mono sound at 8 kHz.
fn wav(seconds: u32, seed: u8) -> Vec<u8> {
    let (rate, data_bytes) = (8_000_u32, seconds * 16_000);
    let mut sound = vec![0; data_bytes as usize];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut sound);
    let mut bytes = Vec::new();
    bytes.extend(b"RIFF");
    bytes.extend((36 + data_bytes).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16_u32.to_le_bytes());
    bytes.extend([1, 0, 1, 0]);
    bytes.extend(rate.to_le_bytes());
    bytes.extend((rate * 2).to_le_bytes());
    bytes.extend([2, 0, 16, 0]);
    bytes.extend(b"data");
    bytes.extend(data_bytes.to_le_bytes());
    bytes.extend(sound);
    bytes
}

fn age(path: &Path) {
    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    fs::File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
}

/// Changes bytes in the middle of a file, so that size and times stay as they are.
fn scramble_keeping_times(path: &Path) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    fs::write(path, bytes).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
}
