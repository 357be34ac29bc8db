//! What the tracker can be told: options, a TOML file, and their defaults. Options win over the file.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::{Parser, ValueEnum};
use directories::ProjectDirs;
use serde::Deserialize;
use thiserror::Error;

const EXIT_CODES: &str = "\
Exit codes:
  0  stopped by Ctrl-C or a termination signal
  1  something unexpected
  2  an option or the configuration file is wrong
  3  the address cannot be listened on (in use, or not allowed)
  4  a library folder is missing or cannot be read
  5  the data folder cannot be used

Then open http://HOST:PORT/ for the dashboard and http://localhost:PORT/console for the debug console.
Logs go to standard error; RUST_LOG=debug shows more (RUST_LOG=tracker_actor=trace shows every frame).";

/// The Rusteze tracker: clients meet here, find each other's media, and get what the tracker's own library has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Parser)]
#[command(name = "rusteze-tracker", version, after_help = EXIT_CODES)]
pub struct Options {
    /// Where to listen for clients and browsers [default: 0.0.0.0:7700]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// A folder of media the tracker itself offers; may be given more than once
    #[arg(long, value_name = "DIR")]
    pub library: Vec<PathBuf>,
    /// Where the tracker keeps its keys and its index of the library [default: the user's data folder]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// A TOML file with the same settings, named like the options (with _ for -)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Who may open the debug console, which shows who talks to whom [default: loopback]
    #[arg(long, value_enum, value_name = "WHO")]
    pub console: Option<ConsoleAccess>,
    /// The most clients at once [default: 20000]
    #[arg(long, value_name = "N")]
    pub max_clients: Option<usize>,
    /// The most relayed connections at once, for pairs of clients that cannot dial each other [default: 256]
    #[arg(long, value_name = "N")]
    pub max_relays: Option<usize>,
    /// What relayed connections may carry in all, in bits per second, with k, M or G; 0 for no limit [default: 200M]
    #[arg(long, value_name = "RATE")]
    pub relay_limit: Option<Rate>,
    /// What the library may send in all, in bits per second, with k, M or G [default: no limit]
    #[arg(long, value_name = "RATE")]
    pub upload_limit: Option<Rate>,
}

/// Who may open the debug console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ConsoleAccess {
    /// Browsers on this host.
    #[default]
    Loopback,
    /// Anybody who reaches the tracker.
    Everyone,
    /// Nobody.
    Off,
}

/// Bits per second, written as a number with k, M or G behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub u64);

/// The settings of a running tracker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackerConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The folders of the library.
    pub library: Vec<PathBuf>,
    /// Where keys and the index are kept.
    pub data: PathBuf,
    /// Who may open the console.
    pub console: ConsoleAccess,
    /// The most clients at once.
    pub max_clients: usize,
    /// The most relayed connections at once.
    pub max_relays: usize,
    /// What relayed connections may carry in all, or 0 for no limit.
    pub relay_limit_bps: u64,
    /// What the library may send, or 0 for no limit.
    pub upload_limit_bps: u64,
}

/// Why the settings cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {path} cannot be read: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("the configuration file {path} is wrong: {source}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// There is no home to keep data in.
    #[error("there is no user data folder on this system; name one with --data DIR")]
    NoDataFolder,
}

/// A text that is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected bits per second, such as 800k, 20M or 1G")]
pub struct ParseRateError;

/// The file; every key is optional, unknown ones are refused.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    listen: Option<SocketAddr>,
    library: Vec<PathBuf>,
    data: Option<PathBuf>,
    console: Option<ConsoleAccess>,
    max_clients: Option<usize>,
    max_relays: Option<usize>,
    relay_limit: Option<String>,
    upload_limit: Option<String>,
}

impl TrackerConfig {
    /// The settings the options and their file amount to.
    pub fn resolve(options: Options) -> Result<Self, ConfigError> {
        let (file, [relay_limit, upload_limit]) = match &options.config {
            Some(path) => read_file(path)?,
            None => (File::default(), [None; 2]),
        };
        let library = if options.library.is_empty() { file.library } else { options.library };
        let data = options.data.or(file.data).or_else(default_data).ok_or(ConfigError::NoDataFolder)?;
        Ok(Self {
            listen: options.listen.or(file.listen).unwrap_or_else(|| ([0, 0, 0, 0], 7700).into()),
            library,
            data,
            console: options.console.or(file.console).unwrap_or_default(),
            max_clients: options.max_clients.or(file.max_clients).unwrap_or(20_000),
            max_relays: options.max_relays.or(file.max_relays).unwrap_or(256),
            relay_limit_bps: options.relay_limit.or(relay_limit).map_or(RELAY_LIMIT_BPS, |rate| rate.0),
            upload_limit_bps: options.upload_limit.or(upload_limit).map_or(0, |rate| rate.0),
        })
    }
}

/// What relays may carry unless it is said: fifty good films.
const RELAY_LIMIT_BPS: u64 = 200_000_000;

/// The file and its rates: what relays may carry, what the library may send.
fn read_file(path: &Path) -> Result<(File, [Option<Rate>; 2]), ConfigError> {
    let text =
        fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let wrong = |source| ConfigError::Parse { path: path.to_owned(), source: Box::new(source) };
    let file: File = toml::from_str(&text).map_err(wrong)?;
    let rate = |name: &str, text: &Option<String>| {
        let rate = text.as_deref().map(str::parse).transpose();
        rate.map_err(|error: ParseRateError| wrong(serde::de::Error::custom(format!("{name}: {error}"))))
    };
    let rates = [rate("relay_limit", &file.relay_limit)?, rate("upload_limit", &file.upload_limit)?];
    Ok((file, rates))
}

fn default_data() -> Option<PathBuf> {
    Some(ProjectDirs::from("", "", "rusteze")?.data_dir().join("tracker"))
}

impl std::str::FromStr for Rate {
    type Err = ParseRateError;

    fn from_str(text: &str) -> Result<Self, ParseRateError> {
        let text = text.trim();
        let (digits, factor) = match text.char_indices().last().ok_or(ParseRateError)? {
            (at, 'k' | 'K') => (&text[..at], 1_000),
            (at, 'm' | 'M') => (&text[..at], 1_000_000),
            (at, 'g' | 'G') => (&text[..at], 1_000_000_000),
            _ => (text, 1),
        };
        let number: f64 = digits.parse().map_err(|_| ParseRateError)?;
        if !number.is_finite() || number < 0.0 {
            return Err(ParseRateError);
        }
        Ok(Self((number * f64::from(factor)) as u64))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_options_are_well_formed_and_every_one_is_explained() {
        let command = Options::command();
        command.clone().debug_assert();
        assert!(command.get_arguments().all(|argument| argument.get_help().is_some()));
    }

    #[test]
    fn without_options_the_defaults_hold() {
        let config = TrackerConfig::resolve(Options { data: Some("/d".into()), ..Options::default() })
            .expect("settings");
        assert_eq!(config.listen, "0.0.0.0:7700".parse().expect("an address"));
        assert_eq!(
            (config.console, config.max_relays, config.relay_limit_bps, config.upload_limit_bps),
            (ConsoleAccess::Loopback, 256, 200_000_000, 0)
        );
    }

    #[test]
    fn options_win_over_the_file() {
        let (options, _file) = from_file(
            "listen = \"127.0.0.1:1\"\nlibrary = [\"/a\"]\nconsole = \"off\"\nupload_limit = \"2.5M\"\nrelay_limit = \"7M\"",
        );
        let config = TrackerConfig::resolve(options.clone()).expect("settings");
        assert_eq!((config.listen.port(), config.upload_limit_bps), (1, 2_500_000));
        assert_eq!(config.relay_limit_bps, 7_000_000);
        assert_eq!(config.library, [PathBuf::from("/a")]);
        let options = Options {
            listen: Some("127.0.0.1:2".parse().expect("an address")),
            library: vec!["/b".into()],
            ..options
        };
        let config = TrackerConfig::resolve(options).expect("settings");
        assert_eq!((config.listen.port(), config.console), (2, ConsoleAccess::Off));
        assert_eq!(config.library, [PathBuf::from("/b")]);
    }

    #[test]
    fn an_unknown_key_and_a_wrong_value_are_named() {
        for (text, named) in [
            ("libary = []", "libary"),
            ("upload_limit = \"fast\"", "bits per second"),
            ("relay_limit = \"slow\"", "relay_limit"),
            ("listen = 5", "listen"),
        ] {
            let (options, _file) = from_file(text);
            let error = TrackerConfig::resolve(options).expect_err("wrong");
            assert!(error.to_string().contains(named), "{error}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let options = Options { config: Some("/no/such/file.toml".into()), ..Options::default() };
        let error = TrackerConfig::resolve(options).expect_err("missing");
        assert!(error.to_string().contains("/no/such/file.toml"));
    }

    #[test]
    fn rates_are_read_as_people_write_them() {
        let rates =
            [("800k", 800_000), ("20M", 20_000_000), ("1.5g", 1_500_000_000), ("9600", 9_600), ("0", 0)];
        for (text, bps) in rates {
            assert_eq!(text.parse(), Ok(Rate(bps)), "{text}");
        }
        for text in ["", "fast", "-1M", "M", "infM", "1 T"] {
            assert_eq!(text.parse::<Rate>(), Err(ParseRateError), "{text}");
        }
    }

    /// The options, and their file, which goes with what is returned.
    fn from_file(text: &str) -> (Options, tempfile::NamedTempFile) {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        io::Write::write_all(&mut file, text.as_bytes()).expect("written");
        let config = Some(file.path().to_owned());
        (Options { config, data: Some("/d".into()), ..Options::default() }, file)
    }
}
