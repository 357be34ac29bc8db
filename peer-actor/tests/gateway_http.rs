//! The gateway over real sockets, against a content whose bytes arrive when the test says so.

#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use peer_actor::gateway::{Library, OpenRefusal, ReadRefusal, Reader, serve};
use shared::{
    ContentId, MediaKind,
    snapshot::{NetworkFile, NodeSnapshot, StreamSnapshot, TrackerStatus},
};
use tokio::sync::watch;

#[test]
fn a_whole_content_comes_with_its_type_name_and_tag() {
    let gateway = Fixture::start(10_000);
    let answer = gateway.get("");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, gateway.bytes(0..10_000));
    assert_eq!(answer.field("content-type"), "video/mp4");
    assert_eq!(answer.field("accept-ranges"), "bytes");
    assert_eq!(answer.field("etag"), format!("\"{}\"", gateway.id()));
    assert_eq!(answer.field("content-length"), "10000");
    assert!(answer.field("content-disposition").ends_with("film.mp4"));
}

#[test]
fn single_suffix_open_and_clamped_ranges_are_partial() {
    let gateway = Fixture::start(10_000);
    for (asked, range) in [
        ("0-0", 0..1),
        ("100-199", 100..200),
        ("-300", 9700..10_000),
        ("9990-", 9990..10_000),
        ("9000-99999", 9000..10_000),
    ] {
        let answer = gateway.get(&format!("Range: bytes={asked}\r\n"));
        assert_eq!(answer.status, 206, "{asked}");
        assert_eq!(answer.field("content-range"), format!("bytes {}-{}/10000", range.start, range.end - 1));
        assert_eq!(answer.body, gateway.bytes(range), "{asked}");
    }
}

#[test]
fn several_ranges_come_as_parts() {
    let gateway = Fixture::start(10_000);
    let answer = gateway.get("Range: bytes=0-9,5000-5009,-10\r\n");
    assert_eq!(answer.status, 206);
    let kind = answer.field("content-type").to_owned();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let mut expected = Vec::new();
    for range in [0..10usize, 5000..5010, 9990..10_000] {
        write!(
            expected,
            "\r\n--{boundary}\r\nContent-Type: video/mp4\r\nContent-Range: bytes {}-{}/10000\r\n\r\n",
            range.start,
            range.end - 1
        )
        .unwrap();
        expected.extend(gateway.bytes(range));
    }
    write!(expected, "\r\n--{boundary}--\r\n").unwrap();
    assert_eq!(answer.body, expected);
}

#[test]
fn a_range_beyond_the_end_is_416_with_the_size() {
    let gateway = Fixture::start(10_000);
    let answer = gateway.get("Range: bytes=10000-\r\n");
    assert_eq!((answer.status, answer.field("content-range")), (416, "bytes */10000"));
}

#[test]
fn conditions_decide_between_whole_part_and_nothing() {
    let gateway = Fixture::start(10_000);
    let tag = format!("\"{}\"", gateway.id());
    assert_eq!(gateway.get(&format!("Range: bytes=0-9\r\nIf-Range: {tag}\r\n")).status, 206);
    assert_eq!(gateway.get("Range: bytes=0-9\r\nIf-Range: \"other\"\r\n").status, 200);
    let unchanged = gateway.get(&format!("If-None-Match: \"x\", {tag}\r\n"));
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(unchanged.field("etag"), tag);
    assert_eq!(gateway.get("If-Match: \"x\"\r\n").status, 412);
}

#[test]
fn head_tells_the_length_and_joins_no_swarm() {
    let gateway = Fixture::start(10_000);
    let answer = gateway.ask("HEAD", &gateway.path(), "Range: bytes=0-9\r\n");
    assert_eq!((answer.status, answer.field("content-length"), answer.body.len()), (200, "10000", 0));
    assert_eq!(gateway.library.opened.load(Ordering::Relaxed), 0);
}

#[test]
fn a_connection_serves_one_request_after_another() {
    let gateway = Fixture::start(10_000);
    let mut stream = BufReader::new(TcpStream::connect(gateway.addr).unwrap());
    for range in [0..10usize, 500..600, 3..4] {
        send(
            stream.get_mut(),
            gateway.addr,
            "GET",
            &gateway.path(),
            &format!("Range: bytes={}-{}\r\n", range.start, range.end - 1),
        );
        assert_eq!(receive(&mut stream, "GET").body, gateway.bytes(range));
    }
}

#[test]
fn bytes_nobody_has_yet_are_waited_for_and_the_position_says_so() {
    let gateway = Fixture::start(10_000);
    gateway.library.available.send_replace(4_000);
    let mut stream = BufReader::new(TcpStream::connect(gateway.addr).unwrap());
    send(stream.get_mut(), gateway.addr, "GET", &gateway.path(), "Range: bytes=2000-\r\n");
    eventually(|| gateway.library.last_position() == Some((4_000, true)));
    gateway.library.available.send_replace(10_000);
    assert_eq!(receive(&mut stream, "GET").body, gateway.bytes(2_000..10_000));
    assert_eq!(gateway.library.last_position().map(|(byte, _)| byte), Some(4_000));
}

#[test]
fn a_reader_knows_where_its_range_ends() {
    let gateway = Fixture::start(10_000);
    for (range, end_byte) in [("0-9", 10), ("9990-", 10_000)] {
        assert_eq!(gateway.get(&format!("Range: bytes={range}\r\n")).status, 206);
        assert_eq!(*gateway.library.end_byte.lock().unwrap(), Some(end_byte));
    }
}

#[test]
fn a_client_that_leaves_while_it_waits_ends_its_reader() {
    let gateway = Fixture::start(10_000);
    for arrived in [0, 4_000] {
        gateway.library.available.send_replace(arrived);
        let mut stream = TcpStream::connect(gateway.addr).unwrap();
        send(&mut stream, gateway.addr, "GET", &gateway.path(), "");
        eventually(|| gateway.library.last_position() == Some((arrived as u64, true)));
        assert_eq!(gateway.library.readers.load(Ordering::Relaxed), 1);
        drop(stream);
        eventually(|| gateway.library.readers.load(Ordering::Relaxed) == 0);
    }
}

#[test]
fn a_client_that_stops_reading_is_not_read_ahead_of() {
    let size = 64 * 1024 * 1024;
    let gateway = Fixture::start(size);
    let mut stream = TcpStream::connect(gateway.addr).unwrap();
    send(&mut stream, gateway.addr, "GET", &gateway.path(), "");
    std::thread::sleep(Duration::from_millis(800));
    let (position, _) = gateway.library.last_position().unwrap();
    assert!(position < 16 * 1024 * 1024, "{position} bytes were read for a client that took none");
}

#[test]
fn pages_and_names_of_other_sites_are_refused() {
    let gateway = Fixture::start(100);
    let ask = |head: &str| {
        let mut stream = BufReader::new(TcpStream::connect(gateway.addr).unwrap());
        write!(stream.get_mut(), "GET /api/files HTTP/1.1\r\n{head}\r\n").unwrap();
        receive(&mut stream, "GET").status
    };
    assert_eq!(ask("Host: evil.example\r\n"), 403);
    assert_eq!(ask("Host: localhost\r\nOrigin: http://evil.example\r\n"), 403);
    assert_eq!(ask("Host: localhost\r\n"), 200);
}

#[test]
fn every_refusal_is_json_with_its_status() {
    let gateway = Fixture::start(100);
    for (path, status) in [
        ("/stream/xyz", 400),
        (&format!("/stream/{}", "0".repeat(64)), 404),
        (&format!("/api/streams/{}", "0".repeat(64)), 404),
        (&format!("/api/cover/{}", "0".repeat(64)), 404),
    ] {
        let answer = gateway.ask("GET", path, "");
        assert_eq!(answer.status, status, "{path}");
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(body["error"].as_str().unwrap().len() > 10, "{body}");
    }
    assert_eq!(gateway.ask("POST", &gateway.path(), "").status, 405);
    assert_eq!(gateway.ask("GET", "/nothing", "").status, 404);
}

#[test]
fn the_lists_name_every_file_and_progress_names_the_stream() {
    let gateway = Fixture::start(100);
    let files: serde_json::Value =
        serde_json::from_slice(&gateway.ask("GET", "/api/files", "").body).unwrap();
    for key in ["content_id", "name", "size", "kind", "duration_ms", "bitrate", "codecs", "sources"] {
        assert!(!files[0][key].is_null(), "{key}");
    }
    assert_eq!(gateway.ask("GET", "/ready", "").status, 200);
    let status: serde_json::Value =
        serde_json::from_slice(&gateway.ask("GET", "/api/status", "").body).unwrap();
    assert_eq!(status["tracker"]["state"], "connected");
    assert!(
        String::from_utf8(gateway.ask("GET", "/metrics", "").body)
            .unwrap()
            .contains("rusteze_network_files 1")
    );
}

struct Fixture {
    addr: SocketAddr,
    library: Content,
}

impl Fixture {
    fn start(size: usize) -> Self {
        let bytes: Vec<u8> = (0..size).map(|i| (i * 31 + i / 251) as u8).collect();
        let library = Content {
            bytes: bytes.into(),
            available: Arc::new(watch::Sender::new(size)),
            positions: Arc::default(),
            end_byte: Arc::default(),
            readers: Arc::default(),
            opened: Arc::default(),
        };
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let served = library.clone();
        std::thread::Builder::new()
            .spawn(move || {
                let system = actix_rt::System::new();
                let gateway =
                    system.block_on(async { serve("127.0.0.1:0".parse().unwrap(), served) }).unwrap();
                sender.send(gateway.addr()).unwrap();
                system.run().unwrap();
            })
            .unwrap();
        Self { addr: receiver.recv().unwrap(), library }
    }

    fn id(&self) -> ContentId {
        ContentId([7; 32])
    }

    fn path(&self) -> String {
        format!("/stream/{}", self.id())
    }

    fn bytes(&self, range: std::ops::Range<usize>) -> Vec<u8> {
        self.library.bytes[range].to_vec()
    }

    fn get(&self, head: &str) -> Answer {
        self.ask("GET", &self.path(), head)
    }

    fn ask(&self, method: &str, path: &str, head: &str) -> Answer {
        let mut stream = BufReader::new(TcpStream::connect(self.addr).unwrap());
        send(stream.get_mut(), self.addr, method, path, head);
        receive(&mut stream, method)
    }
}

#[derive(Clone)]
struct Content {
    bytes: Bytes,
    available: Arc<watch::Sender<usize>>,
    positions: Arc<Mutex<Vec<(u64, bool)>>>,
    end_byte: Arc<Mutex<Option<u64>>>,
    readers: Arc<AtomicUsize>,
    opened: Arc<AtomicUsize>,
}

impl Content {
    fn last_position(&self) -> Option<(u64, bool)> {
        self.positions.lock().unwrap().last().copied()
    }

    fn file(&self) -> NetworkFile {
        serde_json::from_value(serde_json::json!({
            "content_id": ContentId([7; 32]), "name": "film.mp4", "size": self.bytes.len(), "kind": MediaKind::Video, "duration_ms": 1000,
            "bitrate": 80, "codecs": ["h264"], "container": "mov,mp4,m4a,3gp,3g2,mj2", "width": 1, "height": 1, "title": "", "artist": "",
            "album": "", "sources": 1, "at_origin": true, "has_cover": false, "is_local": false,
        }))
        .unwrap()
    }
}

impl Library for Content {
    type Reader = Position;

    fn snapshot(&self) -> Arc<NodeSnapshot> {
        Arc::new(NodeSnapshot {
            files: Arc::new(vec![self.file()]),
            tracker: TrackerStatus::Connected,
            ..NodeSnapshot::default()
        })
    }

    async fn stream(&self, _: ContentId) -> Option<Arc<StreamSnapshot>> {
        None
    }

    async fn open(&self, _: ContentId) -> Result<Position, OpenRefusal> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.readers.fetch_add(1, Ordering::Relaxed);
        Ok(Position { content: self.clone(), file: self.file() })
    }

    async fn cover(&self, _: ContentId) -> Option<Bytes> {
        None
    }
}

struct Position {
    content: Content,
    file: NetworkFile,
}

impl Reader for Position {
    fn file(&self) -> &NetworkFile {
        &self.file
    }

    fn set_position(&self, byte: u64) {
        self.content.positions.lock().unwrap().push((byte, false));
    }

    fn set_end(&self, byte: u64) {
        *self.content.end_byte.lock().unwrap() = Some(byte);
    }

    async fn read_at(&self, byte: u64, max_bytes: usize) -> Result<Bytes, ReadRefusal> {
        let mut available = self.content.available.subscribe();
        if *available.borrow() as u64 <= byte {
            self.content.positions.lock().unwrap().push((byte, true));
        }
        let end = *available
            .wait_for(|end| *end as u64 > byte)
            .await
            .map_err(|error| ReadRefusal(error.to_string()))?;
        Ok(self.content.bytes.slice(byte as usize..end.min(byte as usize + max_bytes)))
    }
}

impl Drop for Position {
    fn drop(&mut self) {
        self.content.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Answer {
    status: u16,
    head: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn field(&self, name: &str) -> &str {
        self.head.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }
}

fn send(stream: &mut TcpStream, host: SocketAddr, method: &str, path: &str, head: &str) {
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{head}\r\n").unwrap();
}

fn receive(stream: &mut BufReader<TcpStream>, method: &str) -> Answer {
    stream.get_ref().set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
    let head: Vec<(String, String)> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let mut answer = Answer { status, head, body: Vec::new() };
    if method != "HEAD" && status != 304 {
        answer.body = vec![0; answer.field("content-length").parse().unwrap()];
        stream.read_exact(&mut answer.body).unwrap();
    }
    answer
}

fn eventually(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !condition() {
        assert!(Instant::now() < deadline, "did not happen within 5 s");
        std::thread::sleep(Duration::from_millis(10));
    }
}
