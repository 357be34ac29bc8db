//! # The laboratory: real programs, real sockets, folders that vanish
//!
//! A [`Lab`] owns a temporary folder and every program started in it, and ends them, by their process ids alone, when it is
//! dropped. Programs are reached only as a person or script would: options, HTTP, signals. What a well-behaved program cannot
//! do (lie, babble, stop reading) is done by [`guest`] and [`raw`], over the same wire.
//!
//! Invariant: a lab leaves no process, no network namespace and no file behind, also when a test fails.

pub mod guest;
pub mod http;
pub mod liar;
pub mod media;
pub mod nat;
pub mod paced;
pub mod process;
pub mod raw;
pub mod screening;
pub mod viewer;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

pub use nat::Nat;
pub use process::Program;

/// A place to try things in.
#[derive(Debug)]
pub struct Lab {
    folder: TempDir,
}

/// A running tracker.
#[derive(Debug)]
pub struct Tracker {
    /// The process.
    pub program: Program,
    /// Where it listens.
    pub addr: SocketAddr,
    arguments: Vec<String>,
}

/// A running peer without a window.
#[derive(Debug)]
pub struct Peer {
    /// The process.
    pub program: Program,
    /// Where its gateway listens, inside its namespace if it has one.
    pub gateway: SocketAddr,
    /// Where other peers may dial it.
    pub listen: SocketAddr,
    /// The namespace it lives in, if not this one.
    pub namespace: Option<String>,
}

/// How a peer is to be started; everything has a default but the kind.
#[derive(Debug, Clone, Default)]
pub struct PeerSpec {
    /// Audio or video.
    pub kind: &'static str,
    /// Folders to share.
    pub shares: Vec<PathBuf>,
    /// As for `--upload-limit`.
    pub upload_limit: Option<&'static str>,
    /// As for `--cache-limit`.
    pub cache_limit: Option<&'static str>,
    /// The network namespace to live in.
    pub namespace: Option<String>,
    /// The tracker as seen from there, where that differs.
    pub tracker: Option<SocketAddr>,
    /// The address to listen on; loopback by default.
    pub listen_ip: Option<Ipv4Addr>,
    /// The port to listen on; a free one by default.
    pub listen_port: Option<u16>,
    /// Whether it is started with `--no-relay`.
    pub no_relay: bool,
}

impl PeerSpec {
    /// A peer that watches and shares nothing.
    pub fn viewer(kind: &'static str) -> Self {
        Self { kind, ..Self::default() }
    }

    /// A peer that shares one folder.
    pub fn sharer(kind: &'static str, folder: &Path) -> Self {
        Self { kind, shares: vec![folder.into()], ..Self::default() }
    }

    /// The same, uploading at most so much.
    #[must_use]
    pub const fn limited(mut self, rate: &'static str) -> Self {
        self.upload_limit = Some(rate);
        self
    }
}

impl Lab {
    /// A new, empty place.
    pub fn new() -> Result<Self> {
        Ok(Self { folder: tempfile::Builder::new().prefix("rusteze-lab-").tempdir()? })
    }

    /// The same result; a failure is told with the end of every program's log.
    pub fn explain<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| {
            let logs =
                fs::read_dir(self.folder.path()).into_iter().flatten().flatten().map(|entry| entry.path());
            let mut told = String::new();
            for path in logs.filter(|path| path.extension().is_some_and(|extension| extension == "log")) {
                let log = fs::read_to_string(&path).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let tail = lines[lines.len().saturating_sub(60)..].join("\n");
                told += &format!("\n--- {}\n{tail}", path.file_name().unwrap_or_default().to_string_lossy());
            }
            error.context(told)
        })
    }

    /// A folder of this name in it.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// A folder of this name with copies of these files.
    pub fn library(&self, name: &str, files: &[&Path]) -> Result<PathBuf> {
        let folder = self.folder(name)?;
        for file in files {
            fs::copy(file, folder.join(file.file_name().context("a file has a name")?))?;
        }
        Ok(folder)
    }

    /// Starts a tracker with these libraries and waits until it serves.
    pub fn tracker(&self, libraries: &[&Path]) -> Result<Tracker> {
        self.tracker_at(Ipv4Addr::LOCALHOST, libraries, &[])
    }

    /// Starts a tracker that listens at `ip`, with further options.
    pub fn tracker_at(&self, ip: Ipv4Addr, libraries: &[&Path], options: &[&str]) -> Result<Tracker> {
        let addr = SocketAddr::from((ip, free_port()?));
        let mut arguments =
            vec!["--listen".into(), addr.to_string(), "--data".into(), text(&self.folder("tracker-data")?)];
        for library in libraries {
            arguments.extend(["--library".into(), text(library)]);
        }
        arguments.extend(options.iter().map(|option| (*option).to_owned()));
        let program =
            Program::start("rusteze-tracker", &arguments, None, &self.folder.path().join("tracker.log"))?;
        let tracker = Tracker { program, addr, arguments };
        tracker.await_ready()?;
        Ok(tracker)
    }

    /// Starts a peer called `name` and waits until its gateway serves.
    pub fn peer(&self, name: &str, tracker: &Tracker, spec: &PeerSpec) -> Result<Peer> {
        let port = spec.listen_port.map_or_else(free_port, Ok)?;
        let listen = SocketAddr::from((spec.listen_ip.unwrap_or(Ipv4Addr::LOCALHOST), port));
        let gateway = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let mut arguments = self.peer_arguments(name, tracker, spec)?;
        arguments.extend(["--listen".into(), listen.to_string(), "--gateway".into(), gateway.to_string()]);
        let log = self.folder.path().join(format!("{name}.log"));
        let program = Program::start("rusteze-peer", &arguments, spec.namespace.as_deref(), &log)?;
        let peer = Peer { program, gateway, listen, namespace: spec.namespace.clone() };
        await_until("the peer's gateway to answer", Duration::from_secs(20), || {
            peer.program.check_alive()?;
            Ok(peer.get_json("/api/status").is_ok())
        })?;
        Ok(peer)
    }

    /// Starts `rusteze-peer get` of one content; the caller waits for it, or does not.
    pub fn get(
        &self,
        name: &str,
        tracker: &Tracker,
        spec: &PeerSpec,
        content: &str,
        out: &Path,
    ) -> Result<Program> {
        let mut arguments = vec!["get".into(), content.into(), "--out".into(), text(out)];
        arguments.extend(self.peer_arguments(name, tracker, spec)?);
        arguments.extend(["--listen".into(), "127.0.0.1:0".into()]);
        Program::start(
            "rusteze-peer",
            &arguments,
            spec.namespace.as_deref(),
            &self.folder.path().join(format!("{name}.log")),
        )
    }

    fn peer_arguments(&self, name: &str, tracker: &Tracker, spec: &PeerSpec) -> Result<Vec<String>> {
        let url = format!("ws://{}", spec.tracker.unwrap_or(tracker.addr));
        let cache = text(&self.folder(&format!("{name}-data"))?);
        let mut arguments: Vec<String> =
            ["--tracker", &url, "--kind", spec.kind, "--cache", &cache].map(ToOwned::to_owned).into();
        for share in &spec.shares {
            arguments.extend(["--share".into(), text(share)]);
        }
        for (option, value) in [("--upload-limit", spec.upload_limit), ("--cache-limit", spec.cache_limit)] {
            if let Some(value) = value {
                arguments.extend([option.into(), value.into()]);
            }
        }
        if spec.no_relay {
            arguments.push("--no-relay".into());
        }
        Ok(arguments)
    }
}

impl Tracker {
    /// A JSON answer of it.
    pub fn get_json(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_slice(&http::get(self.addr, path, &[])?.expect(200)?.body)?)
    }

    /// Starts it again after it ended, at the same place with the same options.
    pub fn restart(&mut self) -> Result<()> {
        self.program.restart("rusteze-tracker", &self.arguments)?;
        self.await_ready()
    }

    fn await_ready(&self) -> Result<()> {
        await_until("the tracker to be ready", Duration::from_secs(20), || {
            self.program.check_alive()?;
            Ok(http::get(self.addr, "/ready", &[]).is_ok_and(|answer| answer.status == 200))
        })
    }
}

impl Peer {
    /// A JSON answer of its gateway.
    pub fn get_json(&self, path: &str) -> Result<Value> {
        let body = match &self.namespace {
            None => http::get(self.gateway, path, &[])?.expect(200)?.body,
            Some(namespace) => {
                let url = format!("http://{}{path}", self.gateway);
                nat::inside(namespace, "curl", &["-sf", "--max-time", "5", &url])?
            }
        };
        Ok(serde_json::from_slice(&body)?)
    }

    /// The network's files as it sees them.
    pub fn files(&self) -> Result<Vec<Value>> {
        Ok(self.get_json("/api/files")?.as_array().context("a list")?.clone())
    }

    /// Waits until it sees a file of this name with so many sources; gives the entry.
    pub fn await_file(&self, name: &str, sources: u64) -> Result<Value> {
        let mut found = Value::Null;
        await_until(&format!("{name} with {sources} sources"), Duration::from_secs(30), || {
            self.program.check_alive()?;
            let entry = self.files()?.into_iter().find(|file| file["name"] == name);
            found = entry.unwrap_or_default();
            Ok(found["sources"].as_u64().is_some_and(|known| known >= sources))
        })
        .with_context(|| format!("last seen: {found}"))?;
        Ok(found)
    }

    /// The URL of a content at its gateway.
    pub fn url(&self, content_id: &str) -> String {
        format!("http://{}/stream/{content_id}", self.gateway)
    }

    /// How a stream goes.
    pub fn stream(&self, content_id: &str) -> Result<Value> {
        self.get_json(&format!("/api/streams/{content_id}"))
    }

    /// The payload each source of a stream gave, as `(role, path, bytes, banned)`.
    pub fn sources(&self, content_id: &str) -> Result<Vec<(String, String, u64, bool)>> {
        let stream = self.stream(content_id)?;
        let peers = stream["peers"].as_array().context("a list of peers")?;
        Ok(peers
            .iter()
            .map(|peer| {
                let word = |key: &str| peer[key].as_str().unwrap_or_default().to_owned();
                let bytes = peer["received_bytes"].as_u64().unwrap_or(0);
                (word("role"), word("path"), bytes, peer["banned"] == true)
            })
            .collect())
    }
}

/// Waits until `condition` holds, looking twenty times a second.
pub fn await_until(
    what: &str,
    patience: Duration,
    mut condition: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let deadline = Instant::now() + patience;
    while !condition()? {
        if Instant::now() > deadline {
            bail!("waited {} s in vain for {what}", patience.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A port nobody listens on now, below the range from which the system takes ports for itself.
pub fn free_port() -> Result<u16> {
    for _ in 0..200 {
        let random: [u8; 2] = peer_actor::identity::random_bytes()?;
        let port = 20_000 + u16::from_le_bytes(random) % 12_000;
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port")
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
