//! The keyboard: one table from keys to commands, and the same table as help.
//!
//! Invariant: whatever works is listed and whatever is listed works; no view reads keys by itself. While text is being typed,
//! only the leaving key, F1, F11 and combinations with Ctrl work, without those of the arrows, which move in the text.

use egui::{InputState, Key, KeyboardShortcut, Modifiers};

use super::command::{Command, LibraryCommand, PlayerCommand, Screen, SharesCommand, WindowCommand};

/// One shortcut.
#[derive(Debug)]
pub struct Binding {
    /// The section of the help it is listed in.
    pub section: &'static str,
    /// How the help writes the keys.
    pub caps: &'static [&'static str],
    /// What it does, in words.
    pub what: &'static str,
    /// The keys that trigger it and what each does.
    pub keys: &'static [(Modifiers, Key, Action)],
}

/// What a key does: a command, without its data on the heap.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    /// Show a page.
    Go(Screen),
    /// To the player.
    Player(PlayerCommand),
    /// To the window.
    Window(WindowCommand),
    /// To the search field.
    Search,
    /// To the folder dialog.
    ShareFolder,
}

const NONE: Modifiers = Modifiers::NONE;
const SHIFT: Modifiers = Modifiers::SHIFT;
const CTRL: Modifiers = Modifiers::COMMAND;

const fn player(command: PlayerCommand) -> Action {
    Action::Player(command)
}

const fn seek(ms: i64) -> Action {
    player(PlayerCommand::SeekByMs(ms))
}

const fn tenth(number: u8) -> Action {
    player(PlayerCommand::SeekFraction(number as f32 / 10.0))
}

/// All shortcuts, in the order of the help.
pub static BINDINGS: &[Binding] = &[
    Binding {
        section: "Playback",
        caps: &["Space", "K"],
        what: "Play or pause",
        keys: &[
            (NONE, Key::Space, player(PlayerCommand::Toggle)),
            (NONE, Key::K, player(PlayerCommand::Toggle)),
        ],
    },
    Binding {
        section: "Playback",
        caps: &["←", "→"],
        what: "5 seconds back, forward",
        keys: &[(NONE, Key::ArrowLeft, seek(-5_000)), (NONE, Key::ArrowRight, seek(5_000))],
    },
    Binding {
        section: "Playback",
        caps: &["J", "L"],
        what: "10 seconds back, forward",
        keys: &[(NONE, Key::J, seek(-10_000)), (NONE, Key::L, seek(10_000))],
    },
    Binding {
        section: "Playback",
        caps: &["Shift", "←", "→"],
        what: "1 second back, forward",
        keys: &[(SHIFT, Key::ArrowLeft, seek(-1_000)), (SHIFT, Key::ArrowRight, seek(1_000))],
    },
    Binding {
        section: "Playback",
        caps: &["Ctrl", "←", "→"],
        what: "1 minute back, forward",
        keys: &[(CTRL, Key::ArrowLeft, seek(-60_000)), (CTRL, Key::ArrowRight, seek(60_000))],
    },
    Binding {
        section: "Playback",
        caps: &["0", "…", "9"],
        what: "Jump to 0 % … 90 %",
        keys: &[
            (NONE, Key::Num0, tenth(0)),
            (NONE, Key::Num1, tenth(1)),
            (NONE, Key::Num2, tenth(2)),
            (NONE, Key::Num3, tenth(3)),
            (NONE, Key::Num4, tenth(4)),
            (NONE, Key::Num5, tenth(5)),
            (NONE, Key::Num6, tenth(6)),
            (NONE, Key::Num7, tenth(7)),
            (NONE, Key::Num8, tenth(8)),
            (NONE, Key::Num9, tenth(9)),
        ],
    },
    Binding {
        section: "Playback",
        caps: &["[", "]"],
        what: "Slower, faster",
        keys: &[
            (NONE, Key::OpenBracket, player(PlayerCommand::SpeedStep(-1))),
            (NONE, Key::CloseBracket, player(PlayerCommand::SpeedStep(1))),
        ],
    },
    Binding {
        section: "Playback",
        caps: &["Backspace"],
        what: "Natural speed",
        keys: &[(NONE, Key::Backspace, player(PlayerCommand::Speed(1.0)))],
    },
    Binding {
        section: "Playback",
        caps: &["N", "Shift N"],
        what: "Next, previous in the list",
        keys: &[
            (SHIFT, Key::N, player(PlayerCommand::Previous)),
            (NONE, Key::N, player(PlayerCommand::Next)),
        ],
    },
    Binding {
        section: "Playback",
        caps: &["R"],
        what: "Repeat: off, all, one",
        keys: &[(NONE, Key::R, player(PlayerCommand::CycleRepeat))],
    },
    Binding {
        section: "Playback",
        caps: &["S"],
        what: "Shuffle",
        keys: &[(NONE, Key::S, player(PlayerCommand::ToggleShuffle))],
    },
    Binding {
        section: "Sound and picture",
        caps: &["↑", "↓"],
        what: "Louder, quieter",
        keys: &[
            (NONE, Key::ArrowUp, player(PlayerCommand::VolumeBy(0.05))),
            (NONE, Key::ArrowDown, player(PlayerCommand::VolumeBy(-0.05))),
        ],
    },
    Binding {
        section: "Sound and picture",
        caps: &["M"],
        what: "Sound off, on",
        keys: &[(NONE, Key::M, player(PlayerCommand::ToggleMute))],
    },
    Binding {
        section: "Sound and picture",
        caps: &["F", "F11"],
        what: "Full screen",
        keys: &[
            (NONE, Key::F, Action::Window(WindowCommand::ToggleFullscreen)),
            (NONE, Key::F11, Action::Window(WindowCommand::ToggleFullscreen)),
        ],
    },
    Binding {
        section: "Window",
        caps: &["P"],
        what: "Pieces, peers and paths",
        keys: &[(NONE, Key::P, Action::Window(WindowCommand::ToggleNetwork))],
    },
    Binding {
        section: "Window",
        caps: &["I"],
        what: "Statistics",
        keys: &[(NONE, Key::I, Action::Window(WindowCommand::ToggleStatistics))],
    },
    Binding {
        section: "Window",
        caps: &["Ctrl", "F"],
        what: "Search the library",
        keys: &[(CTRL, Key::F, Action::Search)],
    },
    Binding {
        section: "Window",
        caps: &["Ctrl", "O"],
        what: "Share a folder",
        keys: &[(CTRL, Key::O, Action::ShareFolder)],
    },
    Binding {
        section: "Window",
        caps: &["Ctrl", "1", "…", "6"],
        what: "The pages; 2 is what plays",
        keys: &[
            (CTRL, Key::Num1, Action::Go(Screen::Library)),
            (CTRL, Key::Num2, Action::Go(Screen::Player)),
            (CTRL, Key::Num3, Action::Go(Screen::Transfers)),
            (CTRL, Key::Num4, Action::Go(Screen::Shares)),
            (CTRL, Key::Num5, Action::Go(Screen::Settings)),
            (CTRL, Key::Num6, Action::Go(Screen::Console)),
        ],
    },
    Binding {
        section: "Window",
        caps: &["Ctrl", "L"],
        what: "Copy the link of what plays",
        keys: &[(CTRL, Key::L, player(PlayerCommand::CopyLink))],
    },
    Binding {
        section: "Window",
        caps: &["Ctrl", "+", "−", "0"],
        what: "Larger, smaller, natural size",
        keys: &[
            (CTRL, Key::Plus, Action::Window(WindowCommand::Zoom(1))),
            (CTRL, Key::Equals, Action::Window(WindowCommand::Zoom(1))),
            (CTRL, Key::Minus, Action::Window(WindowCommand::Zoom(-1))),
            (CTRL, Key::Num0, Action::Window(WindowCommand::Zoom(0))),
        ],
    },
    Binding {
        section: "Window",
        caps: &["Esc"],
        what: "Leave full screen, player, search",
        keys: &[(NONE, Key::Escape, Action::Window(WindowCommand::Leave))],
    },
    Binding {
        section: "Window",
        caps: &["?"],
        what: "This table",
        keys: &[
            (NONE, Key::Questionmark, Action::Window(WindowCommand::ToggleHelp)),
            (SHIFT, Key::Slash, Action::Window(WindowCommand::ToggleHelp)),
            (NONE, Key::F1, Action::Window(WindowCommand::ToggleHelp)),
        ],
    },
];

/// Takes the shortcuts out of this frame's input, as commands. `is_control_focused`: a button or slider has the keyboard, so
/// the keys that operate it are left to it.
pub fn consume(input: &mut InputState, is_typing: bool, is_control_focused: bool) -> Vec<Command> {
    let mut commands = Vec::new();
    let all = || BINDINGS.iter().flat_map(|binding| binding.keys);
    // egui lets a bare key match with Shift held as well, so combinations are taken out first.
    let combined = all().filter(|(modifiers, ..)| *modifiers != NONE);
    let bare = all().filter(|(modifiers, ..)| *modifiers == NONE);
    for (modifiers, key, action) in combined.chain(bare) {
        let is_arrow = matches!(key, Key::ArrowLeft | Key::ArrowRight | Key::ArrowUp | Key::ArrowDown);
        let types_nothing = *modifiers == CTRL || matches!(key, Key::Escape | Key::F1 | Key::F11);
        if is_typing && (is_arrow || !types_nothing) {
            continue;
        }
        let operates_a_control = is_arrow || *key == Key::Space;
        if is_control_focused && operates_a_control && *modifiers == NONE {
            continue;
        }
        if input.consume_shortcut(&KeyboardShortcut::new(*modifiers, *key)) {
            commands.push(command(*action));
        }
    }
    commands
}

fn command(action: Action) -> Command {
    match action {
        Action::Go(screen) => Command::Navigate(screen),
        Action::Player(command) => Command::Player(command),
        Action::Window(command) => Command::Window(command),
        Action::Search => Command::Library(LibraryCommand::FocusSearch),
        Action::ShareFolder => Command::Shares(SharesCommand::ChooseFolder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things() {
        let keys: Vec<_> =
            BINDINGS.iter().flat_map(|binding| binding.keys).map(|(m, k, _)| (*m, *k)).collect();
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[index + 1..].contains(key), "{key:?} is bound twice");
        }
    }

    #[test]
    fn a_pressed_key_becomes_its_command() {
        assert_eq!(pressed(Key::Space, NONE, false), [Command::Player(PlayerCommand::Toggle)]);
        assert_eq!(pressed(Key::ArrowLeft, SHIFT, false), [Command::Player(PlayerCommand::SeekByMs(-1_000))]);
        assert_eq!(pressed(Key::N, SHIFT, false), [Command::Player(PlayerCommand::Previous)]);
        assert_eq!(pressed(Key::Questionmark, SHIFT, false), [Command::Window(WindowCommand::ToggleHelp)]);
    }

    #[test]
    fn typing_is_not_commanding() {
        assert_eq!(pressed(Key::Space, NONE, true), []);
        assert_eq!(pressed(Key::Escape, NONE, true), [Command::Window(WindowCommand::Leave)]);
        assert_eq!(pressed(Key::F, CTRL, true), [Command::Library(LibraryCommand::FocusSearch)]);
        assert_eq!(pressed(Key::ArrowLeft, CTRL, false), [Command::Player(PlayerCommand::SeekByMs(-60_000))]);
        for key in [Key::ArrowLeft, Key::ArrowRight, Key::ArrowUp, Key::ArrowDown] {
            assert_eq!(pressed(key, CTRL, true), []);
        }
    }

    fn pressed(key: Key, modifiers: Modifiers, is_typing: bool) -> Vec<Command> {
        let ctx = egui::Context::default();
        let event = egui::Event::Key { key, physical_key: None, pressed: true, repeat: false, modifiers };
        let input = egui::RawInput { events: vec![event], ..Default::default() };
        let mut commands = Vec::new();
        let mut output =
            ctx.run_ui(input, |ui| commands = ui.input_mut(|input| consume(input, is_typing, false)));
        // There is no renderer to hand textures to.
        output.textures_delta.clear();
        commands
    }
}
