//! `rusteze`: settles the options, opens the window, ends cleanly on a signal. Everything else is in the library.

use std::io::{IsTerminal as _, Write as _};

use anyhow::Context as _;
use clap::Parser as _;
use gui::{
    app::{App, journal::SharedJournal},
    model::settings::{FIRST_WINDOW, MIN_WINDOW},
    options::Options,
};
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

fn main() -> std::process::ExitCode {
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is gone.
            let _told = writeln!(std::io::stderr(), "rusteze: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let options = Options::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new("info,winit=error,zbus=warn,actix_server=warn,egui_system_font_provider=error")
    });
    let journal = SharedJournal::default();
    let stderr = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let both = stderr.and_then(journal.clone());
    tracing_subscriber::registry().with(both.with_filter(filter)).init();
    let config = options.peer.resolve()?;
    let title = format!("Rusteze · {}", config.kind);
    let remembered = gui::app::remembered(&config.data_dir);
    let viewport = egui::ViewportBuilder::default()
        .with_title(&title)
        .with_app_id("rusteze")
        .with_icon(gui::app::icon::window_icon())
        .with_inner_size(<[f32; 2]>::from(remembered.window_size.unwrap_or(FIRST_WINDOW)))
        .with_min_inner_size(<[f32; 2]>::from(MIN_WINDOW))
        .with_maximized(remembered.is_maximized)
        .with_fullscreen(options.window.fullscreen);
    let native = eframe::NativeOptions { viewport, ..Default::default() };
    let create = move |cc: &eframe::CreationContext<'_>| -> Result<Box<dyn eframe::App>, _> {
        let app = App::start(&cc.egui_ctx, config, options.window, journal)?;
        let ctx = cc.egui_ctx.clone();
        ctrlc::set_handler(move || ctx.send_viewport_cmd(egui::ViewportCommand::Close))?;
        Ok(Box::new(app))
    };
    eframe::run_native(&title, native, Box::new(create))
        .map_err(|error| anyhow::anyhow!("{error}"))
        .context("cannot open a window; without a display, use rusteze-peer or run under Xvfb")
}
