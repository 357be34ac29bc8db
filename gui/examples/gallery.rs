//! Draws every page with sample data, in both appearances and several window sizes, and saves pictures of them.
//!
//! `cargo run -p gui --example gallery -- DIR [FILTER]`: handy for designers, and for looking at a change.

#[path = "../tests/common/mod.rs"]
mod sample;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use egui::{ScreenshotCallback, Theme, Vec2, ViewportCommand, vec2};
use gui::{
    app::{command::Screen, ui},
    model::{library::Layout, toasts::ToastAction},
    theme,
};
use media::PlayerState;
use sample::Sample;
use shared::{MediaKind, snapshot::TrackerStatus};

struct Case {
    name: String,
    theme: Theme,
    size: Vec2,
    sample: Sample,
}

struct Gallery {
    cases: Vec<Case>,
    current: usize,
    frames: u32,
    folder: PathBuf,
    shot: Arc<Mutex<Option<Arc<egui::ColorImage>>>>,
}

fn main() -> eframe::Result {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "gallery".to_owned()));
    let filter = std::env::args().nth(2).unwrap_or_default();
    let options = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default().with_inner_size([1280.0, 800.0]),
        ..Default::default()
    };
    let run = move |cc: &eframe::CreationContext<'_>| -> Result<Box<dyn eframe::App>, _> {
        theme::install(&cc.egui_ctx);
        std::fs::create_dir_all(&folder)?;
        let cases = cases(&cc.egui_ctx).into_iter().filter(|case| case.name.contains(&filter)).collect();
        Ok(Box::new(Gallery { cases, current: 0, frames: 0, folder, shot: Arc::default() }))
    };
    eframe::run_native("Rusteze gallery", options, Box::new(run))
}

impl eframe::App for Gallery {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        let Some(case) = self.cases.get(self.current) else {
            ui.ctx().send_viewport_cmd(ViewportCommand::Close);
            return;
        };
        if self.frames == 0 {
            ui.ctx().set_theme(case.theme);
            ui.ctx().send_viewport_cmd(ViewportCommand::InnerSize(case.size));
        }
        ui::draw(ui, &case.sample.scene(), &mut Vec::new());
        self.frames += 1;
        // Sizes, fonts and animations need some frames to settle.
        if self.frames == 40 {
            let slot = Arc::clone(&self.shot);
            let take = move |image| *slot.lock().expect("no holder panics") = Some(image);
            ui.ctx().send_viewport_cmd(ViewportCommand::Screenshot(ScreenshotCallback::new(take)));
        }
        let shot = self.shot.lock().expect("no holder panics").take();
        if let Some(image) = shot {
            let path = self.folder.join(format!("{}.png", case.name));
            let [width, height] = image.size.map(|side| side as u32);
            let saved =
                image::save_buffer(&path, image.as_raw(), width, height, image::ExtendedColorType::Rgba8);
            if let Err(error) = saved {
                tracing::error!(path = %path.display(), %error, "cannot save a picture");
            }
            self.current += 1;
            self.frames = 0;
        }
        ui.ctx().request_repaint();
    }
}

fn cases(ctx: &egui::Context) -> Vec<Case> {
    let mut cases = Vec::new();
    let wide = vec2(1280.0, 800.0);
    let narrow = vec2(800.0, 500.0);
    for theme in [Theme::Dark, Theme::Light] {
        for kind in [MediaKind::Video, MediaKind::Audio] {
            for (size, suffix) in [(wide, ""), (narrow, "-narrow")] {
                let mut add = |page: &str, build: &dyn Fn(&mut Sample)| {
                    let mut sample = Sample::new(kind);
                    pictures(ctx, &mut sample);
                    build(&mut sample);
                    let tone = if theme == Theme::Dark { "dark" } else { "light" };
                    cases.push(Case { name: format!("{kind}-{page}{suffix}-{tone}"), theme, size, sample });
                };
                pages(ctx, kind, &mut add);
            }
        }
    }
    cases
}

/// Takes a page's name and what makes it of a fresh sample.
type AddPage<'a> = dyn FnMut(&str, &dyn Fn(&mut Sample)) + 'a;

fn pages(ctx: &egui::Context, kind: MediaKind, add: &mut AddPage<'_>) {
    add("library", &|_| {});
    add("languages", &|sample| {
        sample.speak_many_languages();
        sample.play(0, PlayerState::Playing);
        sample.screen = Screen::Library;
        sample.settings.layout = if kind == MediaKind::Audio { Layout::List } else { Layout::Grid };
    });
    add("list", &|sample| {
        sample.settings.layout = Layout::List;
        sample.play(1, PlayerState::Playing);
        sample.screen = Screen::Library;
    });
    add("empty", &|sample| {
        sample.node.files = Arc::default();
        sample.order.clear();
    });
    add("offline", &|sample| {
        sample.node.files = Arc::default();
        sample.order.clear();
        sample.node.tracker =
            TrackerStatus::Waiting { retry_ms: 4_200, reason: "connection refused (127.0.0.1:7700)".into() };
        sample.toasts.push(100.0, true, "The tracker at ws://127.0.0.1:7700 does not answer; trying again.");
    });
    add("shares", &|sample| sample.screen = Screen::Shares);
    add("noshares", &|sample| {
        sample.screen = Screen::Shares;
        sample.node.shares.clear();
    });
    add("settings", &|sample| sample.screen = Screen::Settings);
    add("transfers", &|sample| sample.screen = Screen::Transfers);
    add("console", &|sample| sample.screen = Screen::Console);
    add("help", &|sample| sample.shows_help = true);
    add("drop", &|sample| sample.is_dropping = true);
    let film = ctx.load_texture("film", sample::landscape(1280, 544, 150), egui::TextureOptions::LINEAR);
    let start = |sample: &mut Sample, state| {
        sample.play(0, state);
        sample.video = (kind == MediaKind::Video).then(|| film.clone());
    };
    add("playing", &|sample| start(sample, PlayerState::Playing));
    add("network", &|sample| {
        start(sample, PlayerState::Playing);
        sample.settings.shows_network = true;
        sample.shows_statistics = true;
    });
    add("crowd", &|sample| {
        start(sample, PlayerState::Buffering);
        sample.crowd_in();
        sample.settings.shows_network = true;
    });
    add("buffering", &|sample| start(sample, PlayerState::Buffering));
    add("slow", &|sample| {
        start(sample, PlayerState::Buffering);
        sample.slow_down();
        sample.toasts.offer(100.0, "Goes on at 2:58", ToastAction::StartOver);
    });
    add("opening", &|sample| {
        sample.play(1, PlayerState::Opening);
        if let Some(playing) = &mut sample.playing {
            playing.stream = None;
            playing.buffered.clear();
            playing.playback.position_ms = 0;
        }
    });
    add("paused", &|sample| start(sample, PlayerState::Paused));
    add("failed", &|sample| {
        let message =
            "Nobody on the network has all of this file right now; it plays as soon as a source returns.";
        sample.play(0, PlayerState::Failed).failure = Some(message.into());
    });
}

fn pictures(ctx: &egui::Context, sample: &mut Sample) {
    for (index, file) in sample.node.files.iter().enumerate().filter(|(_, file)| file.has_cover) {
        let (width, height) = if file.kind == MediaKind::Video { (320, 180) } else { (240, 240) };
        sample.covers.handle_wanted(file.content_id);
        let image = sample::landscape(width, height, (index * 41) as u8);
        sample.covers.handle_cover(ctx, 0.0, file.content_id, Some(image));
    }
}
