//! What a person may say about a peer: command-line options, a TOML file with the same names, and what follows from both.
//!
//! Invariant: a flag beats the file, the file beats the default, and nothing is silently ignored: an unknown key, a rate that
//! is not one and a folder that is not there each stop the program with a sentence that says what to do.
//! The window's program takes the same options, so [`PeerOptions`] is flattened there too. Nothing here touches the network.

use std::{
    fmt, fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::Args;
use serde::{Deserialize, Deserializer};
use shared::{MediaKind, wire::Role};
use thiserror::Error;

use crate::{
    node::{NodeConfig, NodeError},
    relay::peer_share_bps,
};

/// The options every peer takes, with or without a window.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct PeerOptions {
    /// The tracker to join [default: ws://127.0.0.1:7700]
    #[arg(long, global = true, value_name = "ws://HOST:PORT")]
    pub tracker: Option<String>,
    /// The kind of media to find, share and play: audio or video
    #[arg(long, global = true, value_name = "audio|video")]
    pub kind: Option<MediaKind>,
    /// A folder to share; may be given several times
    #[arg(long, global = true, value_name = "DIR")]
    pub share: Vec<PathBuf>,
    /// Where to keep this peer's identity, index and the bytes of others' files [default: the user's data folder]
    #[arg(long, global = true, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// The most bytes of others' files to keep, as 500M, 10G or 8GiB [default: 10G]
    #[arg(long, global = true, value_name = "SIZE")]
    pub cache_limit: Option<Size>,
    /// Where other peers may dial this one; port 0 takes any free port [default: 0.0.0.0:0]
    #[arg(long, global = true, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// Where local players find the HTTP gateway; port 0 takes any free port [default: 127.0.0.1:0]
    #[arg(long, global = true, value_name = "ADDR:PORT")]
    pub gateway: Option<SocketAddr>,
    /// The most to upload, in bits per second, as 500k, 2M or 1.5M [default: unlimited]
    #[arg(long, global = true, value_name = "RATE")]
    pub upload_limit: Option<Rate>,
    /// Pass nothing on between other peers of this kind that cannot dial each other; else an eighth of the upload limit may be
    /// used for that, or 8 Mbit/s without one
    #[arg(long, global = true)]
    pub no_relay: bool,
    /// A TOML file with the same names: tracker, kind, share, cache, cache_limit, listen, gateway, upload_limit, and relay = false
    /// for --no-relay
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What a peer is started with, once everything is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerConfig {
    /// The tracker's WebSocket base, without a path.
    pub tracker_url: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// Folders to share; each exists.
    pub shares: Vec<PathBuf>,
    /// Key, index and cache.
    pub data_dir: PathBuf,
    /// The most bytes of others' files to keep.
    pub cache_limit_bytes: u64,
    /// Where other peers may dial.
    pub listen: SocketAddr,
    /// Where the gateway listens.
    pub gateway: SocketAddr,
    /// The most to upload; none is unlimited.
    pub upload_limit_bps: Option<u64>,
    /// Whether to pass on what other peers that cannot dial each other say to each other.
    pub relays: bool,
}

/// Why the options do not make a peer.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file given with `--config` is not readable.
    #[error("cannot read the configuration {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not TOML, has an unknown key or a value of the wrong sort.
    #[error("the configuration {path} is not valid: {source}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// Neither the options nor the file say which kind of media.
    #[error("say which kind of media this is for: --kind audio or --kind video")]
    NoKind,
    /// The tracker's address is not one.
    #[error("`{0}` is not a tracker: write ws://HOST:PORT, as in ws://127.0.0.1:7700")]
    Tracker(String),
    /// A folder to share is not there.
    #[error("cannot share {path}: {source}")]
    Share {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The cache may not hold what a single stream needs at a time.
    #[error("a cache of {0} bytes is too small to play from: give it 16 MB or more (--cache-limit 16M)")]
    CacheLimit(u64),
    /// There is no user folder to default to.
    #[error("this user has no data folder: say where to keep data with --cache DIR")]
    NoDataDir,
}

/// Why a peer's node does not start, and which option helps.
pub fn start_failure(error: &NodeError) -> String {
    match error.is_about_folder() {
        true => format!("{error}; choose another folder with --cache DIR"),
        false => error.to_string(),
    }
}

impl PeerOptions {
    /// Reads the file, if one is named, and settles every value.
    pub fn resolve(self) -> Result<PeerConfig, ConfigError> {
        let file = self.config.as_deref().map_or_else(|| Ok(ConfigFile::default()), ConfigFile::read)?;
        let kind = self.kind.or(file.kind).ok_or(ConfigError::NoKind)?;
        let tracker = self.tracker.or(file.tracker).unwrap_or_else(|| DEFAULT_TRACKER.into());
        let shares = if self.share.is_empty() { file.share } else { self.share };
        let data_dir = match self.cache.or(file.cache) {
            Some(folder) => folder,
            None => default_data_dir(kind)?,
        };
        let cache_limit = self.cache_limit.or(file.cache_limit).unwrap_or(DEFAULT_CACHE_LIMIT);
        if cache_limit.0 < LEAST_CACHE_LIMIT.0 {
            return Err(ConfigError::CacheLimit(cache_limit.0));
        }
        Ok(PeerConfig {
            tracker_url: tracker_base(&tracker)?,
            kind,
            shares: shares.into_iter().map(existing_folder).collect::<Result<_, _>>()?,
            data_dir,
            cache_limit_bytes: cache_limit.0,
            listen: self.listen.or(file.listen).unwrap_or_else(|| (Ipv4Addr::UNSPECIFIED, 0).into()),
            gateway: self.gateway.or(file.gateway).unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into()),
            upload_limit_bps: self.upload_limit.or(file.upload_limit).map(|rate| rate.0),
            relays: !self.no_relay && file.relay.unwrap_or(true),
        })
    }
}

impl PeerConfig {
    /// What the node itself needs of it; the gateway is the program's to start.
    pub fn node_config(&self) -> NodeConfig {
        NodeConfig {
            tracker_url: Some(self.tracker_url.clone()),
            listen: Some(self.listen),
            shares: self.shares.clone(),
            cache_limit_bytes: self.cache_limit_bytes,
            upload_limit_bps: self.upload_limit_bps.unwrap_or(0),
            relay_limit_bps: if self.relays { peer_share_bps(self.upload_limit_bps.unwrap_or(0)) } else { 0 },
            ..NodeConfig::new(Role::Peer, Some(self.kind), self.data_dir.clone())
        }
    }
}

/// The TOML file. The same names as the options; relative folders start at the file's own folder.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    tracker: Option<String>,
    kind: Option<MediaKind>,
    #[serde(default)]
    share: Vec<PathBuf>,
    cache: Option<PathBuf>,
    cache_limit: Option<Size>,
    listen: Option<SocketAddr>,
    gateway: Option<SocketAddr>,
    upload_limit: Option<Rate>,
    relay: Option<bool>,
}

impl ConfigFile {
    fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.into(), source })?;
        let mut file: Self = toml::from_str(&text)
            .map_err(|source| ConfigError::Invalid { path: path.into(), source: Box::new(source) })?;
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        file.cache = file.cache.map(|cache| folder.join(cache));
        file.share = file.share.iter().map(|share| folder.join(share)).collect();
        Ok(file)
    }
}

/// A rate in bits per second, written as a decimal number with an optional k, M or G.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub u64);

/// A number of bytes, written as a decimal number with an optional k, M, G, T (thousands) or Ki, Mi, Gi, Ti (1024s).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// A text that is not a quantity; carries what would be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected {0}")]
pub struct ParseQuantityError(&'static str);

impl FromStr for Rate {
    type Err = ParseQuantityError;

    fn from_str(text: &str) -> Result<Self, ParseQuantityError> {
        let number =
            ["bit/s", "bps", "b/s"].iter().find_map(|unit| text.strip_suffix(unit)).unwrap_or(text).trim();
        quantity(number)
            .filter(|bits| *bits >= MIN_RATE_BPS)
            .map(Self)
            .ok_or(ParseQuantityError("a rate in bits per second of at least 8k, as 500k, 2M or 1.5M"))
    }
}

impl FromStr for Size {
    type Err = ParseQuantityError;

    fn from_str(text: &str) -> Result<Self, ParseQuantityError> {
        let number = text.strip_suffix('B').unwrap_or(text).trim();
        quantity(number).map(Self).ok_or(ParseQuantityError("a size in bytes, as 500M, 10G or 8GiB"))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}bit/s", self.0)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}B", self.0)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Parses `1.5M` and the like; none when it is no such thing or beyond u64.
fn quantity(text: &str) -> Option<u64> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits_end);
    let scale: u64 = match suffix.trim() {
        "" => 1,
        "k" | "K" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(scale);
    }
    let value = number.parse::<f64>().ok()? * scale as f64;
    (value < u64::MAX as f64).then_some(value.round() as u64)
}

/// The base of a tracker's address: `ws://` is assumed, a trailing slash or the endpoint's own path is dropped.
fn tracker_base(text: &str) -> Result<String, ConfigError> {
    let refused = || ConfigError::Tracker(text.into());
    let authority = match text.split_once("://") {
        Some(("ws", rest)) => rest,
        Some(_) => return Err(refused()),
        None => text,
    };
    let authority = authority.trim_end_matches('/');
    let authority = authority.strip_suffix(shared::wire::TRACKER_PATH).unwrap_or(authority);
    let (host, port) = authority.rsplit_once(':').ok_or_else(refused)?;
    let is_host = !host.is_empty() && !host.contains(['/', '@', '?', '#', ' ']);
    if !is_host || port.parse::<u16>().is_err() {
        return Err(refused());
    }
    Ok(format!("ws://{authority}"))
}

fn existing_folder(path: PathBuf) -> Result<PathBuf, ConfigError> {
    let found = fs::canonicalize(&path).and_then(|found| {
        if found.is_dir() { Ok(found) } else { Err(io::Error::from(io::ErrorKind::NotADirectory)) }
    });
    found.map_err(|source| ConfigError::Share { path, source })
}

/// One folder a kind, so that an audio and a video client of one user do not share an identity or a lock.
fn default_data_dir(kind: MediaKind) -> Result<PathBuf, ConfigError> {
    let folders = directories::ProjectDirs::from("", "", "rusteze").ok_or(ConfigError::NoDataDir)?;
    Ok(folders.data_local_dir().join(kind.to_string()))
}

const DEFAULT_TRACKER: &str = "ws://127.0.0.1:7700";
const DEFAULT_CACHE_LIMIT: Size = Size(10_000_000_000);
/// Start-up ranges and a window of one stream fit into this.
const LEAST_CACHE_LIMIT: Size = Size(16_000_000);
/// Below one kilobyte a second a chunk takes longer than any deadline.
const MIN_RATE_BPS: u64 = 8_000;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::store::StoreError;

    #[test]
    fn quantities_read_as_people_write_them() {
        assert_eq!("2M".parse(), Ok(Rate(2_000_000)));
        assert_eq!("500k".parse(), Ok(Rate(500_000)));
        assert_eq!("1.5Mbit/s".parse(), Ok(Rate(1_500_000)));
        assert_eq!("64000".parse(), Ok(Rate(64_000)));
        assert_eq!("8GiB".parse(), Ok(Size(8 << 30)));
        assert_eq!("10G".parse(), Ok(Size(10_000_000_000)));
        for wrong in ["", "M", "-2M", "2 apples", "1.2.3", "99999999999T", "0", "100", "nan", "inf"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_node_that_finds_no_folder_to_use_is_told_which_option_names_another() {
        let in_use = NodeError::Store(StoreError::InUse("state".into()));
        assert!(start_failure(&in_use).ends_with("process; choose another folder with --cache DIR"));
        let source = io::Error::from(io::ErrorKind::AddrInUse);
        let taken = NodeError::Listen { address: SocketAddr::from(([127, 0, 0, 1], 1)), source };
        assert!(!start_failure(&taken).contains("--cache"));
    }

    #[test]
    fn a_flag_beats_the_file_and_the_file_beats_the_default() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peer.toml");
        fs::create_dir(folder.path().join("films")).unwrap();
        fs::write(&path, "tracker = 'ws://tracker:1'\nkind = 'audio'\nshare = ['films']\nupload_limit = '2M'\ncache = 'state'\n")
            .unwrap();
        let from_file = parse(&["--config", path.to_str().unwrap()]).resolve().unwrap();
        assert_eq!(from_file.tracker_url, "ws://tracker:1");
        assert_eq!(from_file.kind, MediaKind::Audio);
        assert_eq!(from_file.shares, [fs::canonicalize(folder.path().join("films")).unwrap()]);
        assert_eq!(from_file.data_dir, folder.path().join("state"));
        assert_eq!(from_file.upload_limit_bps, Some(2_000_000));
        assert_eq!(from_file.cache_limit_bytes, 10_000_000_000);

        let flags = [
            "--config",
            path.to_str().unwrap(),
            "--kind",
            "video",
            "--upload-limit",
            "1M",
            "--cache-limit",
            "1G",
        ];
        let with_flags = parse(&flags).resolve().unwrap();
        assert_eq!(with_flags.kind, MediaKind::Video);
        assert_eq!(with_flags.upload_limit_bps, Some(1_000_000));
        assert_eq!(with_flags.cache_limit_bytes, 1_000_000_000);
    }

    #[test]
    fn a_peer_relays_an_eighth_unless_it_is_told_not_to() {
        let relays = |arguments: &[&str]| {
            let options = parse(&[&["--kind", "video", "--cache", "state"], arguments].concat());
            options.resolve().unwrap().node_config().relay_limit_bps
        };
        assert_eq!(relays(&[]), 8_000_000);
        assert_eq!(relays(&["--upload-limit", "8M"]), 1_000_000);
        assert_eq!(relays(&["--no-relay"]), 0);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peer.toml");
        fs::write(&path, "relay = false\n").unwrap();
        assert_eq!(relays(&["--config", path.to_str().unwrap()]), 0);
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peer.toml");
        fs::write(&path, "kind = 'audio'\ntraker = 'ws://a:1'\n").unwrap();
        let error = parse(&["--config", path.to_str().unwrap()]).resolve().unwrap_err().to_string();
        assert!(error.contains("traker"), "{error}");
    }

    #[test]
    fn what_is_missing_or_wrong_is_said() {
        assert!(matches!(parse(&[]).resolve(), Err(ConfigError::NoKind)));
        let tiny = parse(&["--kind", "video", "--cache-limit", "1M"]).resolve();
        assert!(matches!(tiny, Err(ConfigError::CacheLimit(1_000_000))));
        assert!(matches!(
            parse(&["--kind", "audio", "--share", "/no/such/folder"]).resolve(),
            Err(ConfigError::Share { .. })
        ));
        for wrong in ["http://a:1", "wss://a:1", "host", "ws://:1", "ws://a:b", "ws://a/b:1", "a:70000"] {
            assert!(
                matches!(
                    parse(&["--kind", "audio", "--tracker", wrong]).resolve(),
                    Err(ConfigError::Tracker(_))
                ),
                "{wrong}"
            );
        }
        assert!(Program::try_parse_from(["peer", "--kind", "books"]).is_err());
    }

    #[test]
    fn a_tracker_may_be_written_in_short_or_in_full() {
        for text in ["a:7700", "ws://a:7700", "ws://a:7700/", "ws://a:7700/tracker"] {
            assert_eq!(tracker_base(text).unwrap(), "ws://a:7700");
        }
        assert_eq!(tracker_base("[::1]:7700").unwrap(), "ws://[::1]:7700");
    }

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        options: PeerOptions,
    }

    fn parse(arguments: &[&str]) -> PeerOptions {
        Program::try_parse_from(["peer"].iter().chain(arguments)).unwrap().options
    }
}
