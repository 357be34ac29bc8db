//! The window without a pointer and without eyes: every control has a name and says what it is, the keyboard reaches and works
//! all of them, and sliders speak their values.

mod common;
mod page;

use std::collections::BTreeSet;

use common::Sample;
use egui::{Key, Modifiers, accesskit::Role};
use egui_kittest::{
    Harness, Node,
    kittest::{NodeT as _, Queryable as _},
};
use gui::app::command::{Command, LibraryCommand, PlayerCommand, Screen};
use media::PlayerState;
use page::{Page, SCREENS, harness};
use shared::MediaKind;

#[test]
fn every_control_of_every_page_has_a_name_of_its_own() {
    for kind in [MediaKind::Video, MediaKind::Audio] {
        for screen in SCREENS {
            for shows_network in [false, true] {
                let harness = page_of(kind, screen, shows_network);
                let mut names = BTreeSet::new();
                for control in controls(&harness) {
                    let name = name_of(&control);
                    let role = control.accesskit_node().role();
                    assert!(!name.trim().is_empty(), "a {role:?} of {kind} {screen:?} has no name");
                    let is_new = names.insert((format!("{role:?}"), name.clone()));
                    assert!(is_new, "two controls of {kind} {screen:?} are called {name:?}");
                }
                assert!(names.len() > 5, "{kind} {screen:?} shows {names:?}");
            }
        }
    }
}

#[test]
fn the_tab_key_reaches_every_control() {
    for kind in [MediaKind::Video, MediaKind::Audio] {
        for screen in SCREENS {
            let mut harness = page_of(kind, screen, false);
            let wanted: BTreeSet<String> = controls(&harness)
                .filter(|control| !control.accesskit_node().is_disabled())
                .map(|control| name_of(&control))
                .collect();
            let mut reached = BTreeSet::new();
            for _ in 0..wanted.len() * 2 + 10 {
                harness.key_press(Key::Tab);
                harness.run_steps(2);
                reached.extend(controls(&harness).filter(Node::is_focused).map(|control| name_of(&control)));
            }
            let missed: Vec<_> = wanted.difference(&reached).collect();
            assert!(missed.is_empty(), "Tab does not reach {missed:?} of {kind} {screen:?}");
        }
    }
}

#[test]
fn a_focused_control_is_worked_by_the_space_key() {
    let mut harness = page_of(MediaKind::Video, Screen::Library, false);
    let name = format!("Play {}", harness.state().sample.node.files[2].name.trim_end_matches(".mp4"));
    harness.get_by_label(&name).focus();
    harness.run_steps(2);
    harness.key_press(Key::Space);
    harness.run_steps(2);
    let wanted = harness.state().sample.node.files[2].content_id;
    let played = Command::Library(LibraryCommand::Play(wanted));
    assert!(harness.state().commands.contains(&played), "{:?}", harness.state().commands);
}

#[test]
fn the_seek_bar_and_the_volume_are_worked_by_arrow_keys() {
    let mut harness = page_of(MediaKind::Video, Screen::Player, false);
    let position_ms = harness.state().sample.playing.as_ref().map(|p| p.playback.position_ms).unwrap();
    press_at(&mut harness, "Position in seconds", Key::ArrowRight);
    let sought = Command::Player(PlayerCommand::SeekMs(position_ms + 5_000));
    assert_eq!(harness.state().commands, [sought]);
    harness.state_mut().commands.clear();
    press_at(&mut harness, "Volume", Key::ArrowLeft);
    let quieter = |command: &Command| matches!(command, Command::Player(PlayerCommand::Volume(volume)) if (volume - 0.75).abs() < 0.001);
    assert!(harness.state().commands.iter().all(quieter), "{:?}", harness.state().commands);
    assert_eq!(harness.state().commands.len(), 1);
}

#[test]
fn a_screen_reader_hears_and_sets_the_position() {
    let mut harness = page_of(MediaKind::Video, Screen::Player, false);
    let bar = harness.get_by_label("Position in seconds");
    assert_eq!(bar.accesskit_node().value().as_deref(), Some("4:26 of 14:48"));
    bar.set_value_accesskit(60.0);
    harness.run_steps(2);
    assert_eq!(harness.state().commands, [Command::Player(PlayerCommand::SeekMs(60_000))]);
    harness.state_mut().commands.clear();
    harness.get_by_label("Position in seconds").decrement_accesskit();
    harness.run_steps(2);
    let position_ms = harness.state().sample.playing.as_ref().map(|p| p.playback.position_ms).unwrap();
    assert_eq!(harness.state().commands, [Command::Player(PlayerCommand::SeekMs(position_ms - 5_000))]);
}

#[test]
fn the_menu_of_a_file_copies_its_link() {
    let mut harness = page_of(MediaKind::Audio, Screen::Library, false);
    let file = harness.state().sample.node.files[0].clone();
    harness.get_by_label(&format!("Play {}", file.title)).click_secondary();
    harness.run_steps(3);
    harness.get_by_label("Copy the link").click();
    harness.run_steps(2);
    let copied = Command::Library(LibraryCommand::CopyLink(file.content_id));
    assert!(harness.state().commands.contains(&copied), "{:?}", harness.state().commands);
}

fn page_of(kind: MediaKind, screen: Screen, shows_network: bool) -> Harness<'static, Page> {
    let mut sample = Sample::new(kind);
    sample.play(1, PlayerState::Playing);
    sample.screen = screen;
    sample.settings.shows_network = shows_network;
    harness(sample, [1280.0, 900.0], egui::Theme::Dark)
}

fn press_at(harness: &mut Harness<'static, Page>, name: &str, key: Key) {
    harness.get_by_label(name).focus();
    harness.run_steps(2);
    harness.key_press_modifiers(Modifiers::NONE, key);
    harness.run_steps(2);
}

/// What a person can operate.
fn controls<'h>(harness: &'h Harness<'_, Page>) -> impl Iterator<Item = Node<'h>> {
    let is_control = |node: &Node<'h>| {
        matches!(
            node.accesskit_node().role(),
            Role::Button
                | Role::CheckBox
                | Role::ComboBox
                | Role::Link
                | Role::MenuItem
                | Role::RadioButton
                | Role::SearchInput
                | Role::Slider
                | Role::SpinButton
                | Role::Switch
                | Role::Tab
                | Role::TextInput
        )
    };
    harness.root().children_recursive().filter(is_control)
}

fn name_of(node: &Node<'_>) -> String {
    node.accesskit_node().label().unwrap_or_default()
}
