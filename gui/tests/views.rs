//! The pages as a screen reader and a keyboard meet them: every control has a name, clicks become the right commands, and no
//! page breaks in a small window. egui_kittest fails any frame in which an input widget lacks an accessible name.

mod common;
mod page;

use common::Sample;
use egui_kittest::kittest::Queryable as _;
use gui::{
    app::command::{Command, LibraryCommand, PlayerCommand, Screen, SharesCommand, WindowCommand},
    model::library::{self, Layout},
};
use media::PlayerState;
use page::{SCREENS, harness};
use shared::MediaKind;

#[test]
fn every_page_is_accessible_in_both_kinds_themes_and_sizes() {
    for kind in [MediaKind::Video, MediaKind::Audio] {
        for screen in SCREENS {
            for size in [[1280.0, 800.0], [800.0, 500.0], [640.0, 420.0]] {
                for theme in [egui::Theme::Dark, egui::Theme::Light] {
                    let mut sample = Sample::new(kind);
                    sample.play(1, PlayerState::Playing);
                    sample.screen = screen;
                    sample.settings.shows_network = size[0] > 1000.0;
                    sample.toasts.push(100.0, true, "something a person should know");
                    let mut harness = harness(sample, size, theme);
                    harness.run_steps(3);
                    assert!(harness.get_all_by_role(egui::accesskit::Role::Button).count() > 3);
                }
            }
        }
    }
}

#[test]
fn a_card_plays_its_file() {
    for layout in [Layout::Grid, Layout::List] {
        let mut sample = Sample::new(MediaKind::Video);
        sample.settings.layout = layout;
        let wanted = sample.node.files[1].clone();
        let mut harness = harness(sample, [1280.0, 800.0], egui::Theme::Dark);
        harness.get_by_label(&format!("Play {}", library::title(&wanted))).click();
        harness.run_steps(2);
        let played = Command::Library(LibraryCommand::Play(wanted.content_id));
        assert!(harness.state().commands.contains(&played), "{:?}", harness.state().commands);
    }
}

#[test]
fn typing_into_the_search_field_searches() {
    let mut harness = harness(Sample::new(MediaKind::Audio), [1280.0, 800.0], egui::Theme::Dark);
    let field = harness.get_by_label("Search the library");
    field.focus();
    harness.run_steps(2);
    harness.get_by_label("Search the library").type_text("satie");
    harness.run_steps(2);
    let searched = |command: &Command| matches!(command, Command::Library(LibraryCommand::Search(words)) if words == "satie");
    assert!(harness.state().commands.iter().any(searched), "{:?}", harness.state().commands);
}

#[test]
fn the_transport_speaks_the_players_language() {
    let mut sample = Sample::new(MediaKind::Video);
    sample.play(0, PlayerState::Playing);
    let mut harness = harness(sample, [1280.0, 800.0], egui::Theme::Dark);
    for (name, command) in [
        ("Pause (Space)", Command::Player(PlayerCommand::Toggle)),
        ("Next (N)", Command::Player(PlayerCommand::Next)),
        ("Sound off (M)", Command::Player(PlayerCommand::ToggleMute)),
        ("Full screen (F)", Command::Window(WindowCommand::ToggleFullscreen)),
        ("Pieces and peers (P)", Command::Window(WindowCommand::ToggleNetwork)),
        ("Back to the library (Esc)", Command::Navigate(Screen::Library)),
    ] {
        harness.state_mut().commands.clear();
        harness.get_by_label(name).click();
        harness.run_steps(2);
        assert!(harness.state().commands.contains(&command), "{name}: {:?}", harness.state().commands);
    }
}

#[test]
fn hidden_controls_cannot_be_hit() {
    let mut sample = Sample::new(MediaKind::Video);
    sample.play(0, PlayerState::Playing);
    sample.shows_controls = false;
    let mut harness = harness(sample, [1280.0, 800.0], egui::Theme::Dark);
    harness.run_steps(30);
    assert!(harness.query_by_label("Pause (Space)").is_none());
}

#[test]
fn a_click_on_the_piece_map_seeks_within_the_file() {
    let mut sample = Sample::new(MediaKind::Audio);
    sample.play(0, PlayerState::Playing);
    sample.settings.shows_network = true;
    let mut harness = harness(sample, [1280.0, 800.0], egui::Theme::Dark);
    harness.get_by_label_contains("Piece map").click();
    harness.run_steps(2);
    let sought = |command: &Command| matches!(command, Command::Player(PlayerCommand::SeekFileFraction(at)) if (0.2..0.8).contains(at));
    assert!(harness.state().commands.iter().any(sought), "{:?}", harness.state().commands);
}

#[test]
fn a_shared_folder_can_be_taken_away_and_another_added() {
    let mut sample = Sample::new(MediaKind::Video);
    sample.screen = Screen::Shares;
    sample.share_path = "/srv/films".to_owned();
    let mut harness = harness(sample, [1280.0, 800.0], egui::Theme::Light);
    harness.get_by_label("Stop sharing /srv/media/shared").click();
    harness.run_steps(2);
    harness.get_by_label("Add").click();
    harness.run_steps(2);
    let commands = &harness.state().commands;
    assert!(commands.contains(&Command::Shares(SharesCommand::Remove("/srv/media/shared".to_owned()))));
    assert!(commands.contains(&Command::Shares(SharesCommand::AddTyped)));
}

#[test]
fn an_empty_network_says_what_to_do() {
    let mut sample = Sample::new(MediaKind::Audio);
    sample.node.files = std::sync::Arc::default();
    sample.order.clear();
    let mut harness = harness(sample, [800.0, 500.0], egui::Theme::Dark);
    harness.get_by_label("No music yet");
    harness.get_by_label("Share a folder").click();
    harness.run_steps(2);
    assert!(harness.state().commands.contains(&Command::Navigate(Screen::Shares)));
}

#[test]
fn a_failure_offers_another_try() {
    let mut sample = Sample::new(MediaKind::Video);
    sample.play(0, PlayerState::Failed).failure = Some("nobody has it".to_owned());
    let mut harness = harness(sample, [1280.0, 800.0], egui::Theme::Dark);
    harness.get_by_label_contains("nobody has it");
    harness.get_by_label("Close").click();
    harness.run_steps(2);
    assert!(harness.state().commands.contains(&Command::Player(PlayerCommand::Stop)));
}
