//! What the person does to the window as a whole: keys, drops, movement.
//!
//! Invariant: keys become the same commands as buttons. Changes nothing but the autohide rule's memory.

use egui::{Context, Event, Ui};
use media::PlayerState;

use super::{
    App,
    command::{Command, Commands, SharesCommand},
    keys,
};

/// The strip at the lower edge of a film in which the pointer keeps the controls.
const CONTROLS_HEIGHT: f32 = 120.0;

/// This frame's commands from keyboard and drops.
pub(super) fn commands(app: &mut App, ui: &mut Ui) -> Commands {
    let ctx = ui.ctx().clone();
    let is_typing = ctx.text_edit_focused();
    let is_control_focused = !is_typing && ctx.memory(|memory| memory.focused()).is_some();
    let now = ctx.input(|input| input.time);
    if ctx.input(is_active) {
        app.chrome.handle_activity(now);
    }
    let mut commands = ctx.input_mut(|input| keys::consume(input, is_typing, is_control_focused));
    let dropped: Vec<_> =
        ctx.input(|input| input.raw.dropped_files.iter().map(|file| file.path().to_path_buf()).collect());
    commands.extend(dropped.into_iter().map(|path| Command::Shares(SharesCommand::Add(path))));
    commands
}

/// Whether something keeps the controls over a film visible.
pub(super) fn is_chrome_held(app: &App, ctx: &Context) -> bool {
    let Some(session) = &app.session else { return true };
    let is_playing = session.now_playing.playback.state == PlayerState::Playing;
    let is_over_controls = ctx.input(|input| {
        let bottom = input.content_rect().bottom();
        input.pointer.hover_pos().is_some_and(|pos| pos.y > bottom - CONTROLS_HEIGHT)
    });
    !is_playing || is_over_controls || app.shows_help || egui::Popup::is_any_open(ctx)
}

/// Whether the window fills the screen.
pub(super) fn is_fullscreen(ctx: &Context) -> bool {
    ctx.input(|input| input.viewport().fullscreen.unwrap_or(false))
}

/// Whether anybody is there: the pointer moved, a key or button went down.
fn is_active(input: &egui::InputState) -> bool {
    input.pointer.delta() != egui::Vec2::ZERO
        || input.events.iter().any(|event| {
            matches!(
                event,
                Event::Key { pressed: true, .. }
                    | Event::PointerButton { .. }
                    | Event::MouseWheel { .. }
                    | Event::Touch { .. }
            )
        })
}
