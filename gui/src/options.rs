//! The command line of the window: a peer's options and what concerns the window alone.
//!
//! Parses and explains; starts nothing.

use std::path::PathBuf;

use clap::Parser;
use peer_actor::config::PeerOptions;

use crate::model::settings::ThemeChoice;

/// Find, play and share films or music with everybody on one tracker.
#[derive(Debug, Clone, Parser)]
#[command(name = "rusteze", version, after_help = KEYS)]
pub struct Options {
    /// What every peer can be told.
    #[command(flatten)]
    pub peer: PeerOptions,
    /// What concerns the window.
    #[command(flatten)]
    pub window: WindowOptions,
}

/// The options of the window alone.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
pub struct WindowOptions {
    /// Play this at once: a content id, a name or part of one, or `first` for the first of the list
    #[arg(long, value_name = "CONTENT_ID|NAME|first")]
    pub play: Option<String>,
    /// Dark, light, or as the desktop is [default: as last chosen]
    #[arg(long)]
    pub theme: Option<ThemeChoice>,
    /// Fill the screen
    #[arg(long)]
    pub fullscreen: bool,
    /// Open the network panel (pieces, peers, paths) beside the player
    #[arg(long)]
    pub network: bool,
    /// Save a picture of the window every --screenshot-every seconds to this folder
    #[arg(long, value_name = "DIR")]
    pub screenshot_dir: Option<PathBuf>,
    /// Seconds between pictures
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, requires = "screenshot_dir")]
    pub screenshot_every: f64,
    /// Write a JSON line per shown video frame to this file, for measurements
    #[arg(long, value_name = "FILE")]
    pub frame_log: Option<PathBuf>,
}

const KEYS: &str =
    "Press ? in the window for its keyboard shortcuts.\nFilter the log with RUST_LOG, as in RUST_LOG=debug.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use shared::MediaKind;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn a_peers_options_and_the_windows_mix() {
        let options =
            parse(&["--kind", "video", "--play", "first", "--tracker", "ws://t:1", "--theme", "light"]);
        assert_eq!(options.peer.kind, Some(MediaKind::Video));
        assert_eq!(options.peer.tracker.as_deref(), Some("ws://t:1"));
        assert_eq!(options.window.play.as_deref(), Some("first"));
        assert_eq!(options.window.theme, Some(ThemeChoice::Light));
        assert!(!options.window.fullscreen);
    }

    #[test]
    fn a_pace_without_a_folder_for_pictures_is_refused() {
        assert!(Options::try_parse_from(["rusteze", "--screenshot-every", "2"]).is_err());
        let options = parse(&["--screenshot-dir", "/tmp/x"]);
        assert_eq!(options.window.screenshot_every, 5.0);
    }

    #[test]
    fn the_help_names_every_option_of_the_interface() {
        let help = Options::command().render_long_help().to_string();
        for option in [
            "--kind",
            "--tracker",
            "--share",
            "--cache",
            "--listen",
            "--gateway",
            "--upload-limit",
            "--config",
            "--play",
        ] {
            assert!(help.contains(option), "{option} is missing");
        }
    }

    fn parse(arguments: &[&str]) -> Options {
        Options::try_parse_from(std::iter::once("rusteze").chain(arguments.iter().copied())).unwrap()
    }
}
