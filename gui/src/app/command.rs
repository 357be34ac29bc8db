//! What the person asked for. Views emit commands; `logic` applies them after the frame.
//!
//! Invariant: a view changes nothing by itself. Grouped by panel, so that each list stays short.

use std::path::PathBuf;

use shared::ContentId;

use crate::model::{
    journal::Severity,
    library::{Layout, SortKey},
    settings::ThemeChoice,
    toasts::ToastId,
};

/// The pages of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Screen {
    /// The network's files.
    #[default]
    Library,
    /// What is being played.
    Player,
    /// What is fetched and passed on right now.
    Transfers,
    /// What this computer gives.
    Shares,
    /// Appearance and facts.
    Settings,
    /// The program's own log.
    Console,
}

/// Anything a person can ask for.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Show another page.
    Navigate(Screen),
    /// Something about the list.
    Library(LibraryCommand),
    /// Something about what is played.
    Player(PlayerCommand),
    /// Something about shared folders.
    Shares(SharesCommand),
    /// Something about the log.
    Console(ConsoleCommand),
    /// Something about the window.
    Window(WindowCommand),
}

/// Commands of the library.
#[derive(Debug, Clone, PartialEq)]
pub enum LibraryCommand {
    /// Look for these words.
    Search(String),
    /// Order by this.
    Sort(SortKey),
    /// Turn the order around.
    Reverse,
    /// Grid or list.
    Layout(Layout),
    /// Play this.
    Play(ContentId),
    /// A cover came into view and is not known yet.
    WantCover(ContentId),
    /// Copy the link by which any client of the network finds this.
    CopyLink(ContentId),
    /// Copy the address at which other players on this computer can play this.
    CopyAddress(ContentId),
    /// Move the keyboard to the search field.
    FocusSearch,
}

/// Commands of the player.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PlayerCommand {
    /// Play or pause; at the end, play again.
    Toggle,
    /// Go to a time.
    SeekMs(u64),
    /// Go forward or back.
    SeekByMs(i64),
    /// Go to a fraction of the duration.
    SeekFraction(f32),
    /// Go to where these bytes of the file are played, as a fraction of the file.
    SeekFileFraction(f32),
    /// 0 to 1.
    Volume(f32),
    /// Louder or quieter.
    VolumeBy(f32),
    /// Sound on or off.
    ToggleMute,
    /// 1 is the natural speed.
    Speed(f32),
    /// The next faster (1) or slower (-1) speed.
    SpeedStep(i32),
    /// Play what comes after in the list.
    Next,
    /// Play what comes before in the list, or start over.
    Previous,
    /// Stop and leave the swarm.
    Stop,
    /// Try again after a failure.
    Retry,
    /// Copy the link of what is played.
    CopyLink,
}

/// Commands of the shares page.
#[derive(Debug, Clone, PartialEq)]
pub enum SharesCommand {
    /// Ask for a folder in a dialog.
    ChooseFolder,
    /// The path field changed.
    EditPath(String),
    /// Share what the path field names.
    AddTyped,
    /// Share this folder, or the folder of this file.
    Add(PathBuf),
    /// Stop sharing this folder.
    Remove(String),
}

/// Commands of the console.
#[derive(Debug, Clone, PartialEq)]
pub enum ConsoleCommand {
    /// Show lines with these words.
    Words(String),
    /// Show lines at least this serious.
    Severity(Severity),
    /// Copy the lines that are shown.
    Copy,
}

/// Commands of the window itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum WindowCommand {
    /// Dark, light, system.
    Theme(ThemeChoice),
    /// Full screen or not.
    ToggleFullscreen,
    /// The network panel beside the player.
    ToggleNetwork,
    /// The statistics over the picture.
    ToggleStatistics,
    /// The table of shortcuts.
    ToggleHelp,
    /// Everything larger (1), smaller (-1) or as it was (0).
    Zoom(i32),
    /// Take a toast away.
    Dismiss(ToastId),
    /// Out of whatever is innermost: help, full screen, search, player.
    Leave,
}

/// The commands of one frame, in order.
pub type Commands = Vec<Command>;
