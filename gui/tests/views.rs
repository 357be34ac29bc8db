//! The pages as a screen reader and a keyboard meet them: every control has a name, clicks become the right commands, and no
//! page breaks in a small window. egui_kittest fails any frame in which an input widget lacks an accessible name.

mod common;
mod page;

use common::Sample;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use gui::{
    app::command::{Command, LibraryCommand, PlayerCommand, Screen, SharesCommand, WindowCommand},
    model::{
        library::{self, Layout},
        toasts::ToastAction,
    },
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
    harness.get_by_label_contains("Piece map").scroll_to_me();
    harness.run_steps(30);
    harness.get_by_label_contains("Piece map").click();
    harness.run_steps(2);
    let sought = |command: &Command| matches!(command, Command::Player(PlayerCommand::SeekFileFraction(at)) if (0.2..0.8).contains(at));
    assert!(harness.state().commands.iter().any(sought), "{:?}", harness.state().commands);
}

#[test]
fn the_drawing_of_the_swarm_tells_and_explains_every_source() {
    for size in [[1280.0, 1000.0], [640.0, 800.0]] {
        for kind in [MediaKind::Video, MediaKind::Audio] {
            let mut sample = Sample::new(kind);
            sample.play(0, PlayerState::Playing);
            sample.settings.shows_network = true;
            let mut harness = harness(sample, size, egui::Theme::Light);
            harness.get_by_label_contains("Drawing of the swarm: 6 sources");
            harness.get_by_label_contains("planned 6.3 Mbit/s, needed");
            let name = "Tracker's library, Tracker, 900 kbit/s";
            harness.get_by_role_and_label(egui::accesskit::Role::Button, name).focus();
            harness.run_steps(2);
            harness.key_press(egui::Key::Space);
            harness.run_steps(2);
            harness.get_by_label_contains("Choice 4 of 5: its path carried 900 kbit/s");
            harness.get_by_label_contains("The library is reached over the tracker's own address");
            harness.key_press(egui::Key::Space);
            harness.key_press(egui::Key::Tab);
            harness.run_steps(2);
            harness.key_press(egui::Key::Space);
            harness.run_steps(2);
            assert!(harness.query_by_label_contains("Choice 4 of 5").is_none());
        }
    }
}

#[test]
fn a_crowd_is_drawn_whole_and_what_holds_it_up_is_named() {
    let mut sample = Sample::new(MediaKind::Video);
    sample.play(0, PlayerState::Buffering);
    sample.crowd_in();
    sample.settings.shows_network = true;
    let slow = sample.playing.as_ref().and_then(|playing| playing.stream.as_ref()).unwrap().peers[1].node;
    let harness = harness(sample, [1280.0, 1000.0], egui::Theme::Dark);
    harness.get_by_label_contains("Drawing of the swarm: 20 sources. Held up by");
    harness.get_by_label(&format!("Held up by Peer {}: the 1.5 MB asked of it take 3.1 s", slow.short()));
    let sources = harness.get_all_by_role(egui::accesskit::Role::Button);
    let sources =
        sources.filter(|node| node.accesskit_node().label().is_some_and(|name| name.starts_with("Peer ")));
    assert_eq!(sources.count(), 19);
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

#[test]
fn a_slow_film_offers_to_wait_and_to_play_at_once() {
    let mut sample = Sample::new(MediaKind::Video);
    sample.play(0, PlayerState::Buffering);
    sample.slow_down();
    let mut harness = harness(sample, [1280.0, 800.0], egui::Theme::Dark);
    harness.get_by_label("Wait until it plays through").click();
    harness.run_steps(2);
    assert!(harness.state().commands.contains(&Command::Player(PlayerCommand::WaitUntilSmooth(true))));
    if let Some(playing) = &mut harness.state_mut().sample.playing {
        playing.waits_for_smooth = true;
    }
    harness.run_steps(2);
    harness.get_by_label("Play now").click();
    harness.run_steps(2);
    assert!(harness.state().commands.contains(&Command::Player(PlayerCommand::WaitUntilSmooth(false))));
}

#[test]
fn going_on_where_it_was_left_can_be_declined() {
    let mut sample = Sample::new(MediaKind::Video);
    sample.play(0, PlayerState::Playing);
    sample.toasts.offer(100.0, "Goes on at 2:58", ToastAction::StartOver);
    let mut harness = harness(sample, [1280.0, 800.0], egui::Theme::Dark);
    harness.get_by_label("Start over").click();
    harness.run_steps(2);
    assert!(harness.state().commands.contains(&Command::Player(PlayerCommand::SeekMs(0))));
}

#[test]
fn music_can_be_shuffled_and_repeated() {
    let mut sample = Sample::new(MediaKind::Audio);
    sample.play(0, PlayerState::Playing);
    let mut harness = harness(sample, [1280.0, 800.0], egui::Theme::Dark);
    for (name, command) in
        [("Shuffle (S)", PlayerCommand::ToggleShuffle), ("Repeat: off (R)", PlayerCommand::CycleRepeat)]
    {
        harness.get_by_label(name).click();
        harness.run_steps(2);
        assert!(harness.state().commands.contains(&Command::Player(command)), "{name}");
    }
}
