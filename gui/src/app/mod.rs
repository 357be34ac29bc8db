//! The window: `logic` every frame, even hidden; `ui` draws; views emit [`command`]s that logic applies.
//!
//! Invariant: the app holds the last snapshots and the person's view state (page, search, theme), and nothing the node owns.

pub mod command;
pub mod covers;
pub mod icon;
pub mod journal;
pub mod keys;
pub mod ui;

mod capture;
mod input;
mod logic;
mod playing;
mod session;
mod storage;

use std::{path::PathBuf, sync::Arc, time::Duration};

use peer_actor::{config::PeerConfig, node::NodeConfig};
use shared::{MediaKind, snapshot::NodeSnapshot};

pub use self::storage::remembered;
use self::{
    capture::Capture, command::Screen, covers::Covers, journal::SharedJournal, session::Session,
    storage::Storage,
};
use crate::{
    backend::{
        Ticket,
        thread::Backend,
        updates::{Updates, Waker},
    },
    model::{chrome::Chrome, console::Console, library::Query, queue::Queue, toasts::Toasts, wanted::Wanted},
    options::WindowOptions,
    theme,
};

/// The window's title: what plays, then the program.
pub fn window_title(kind: MediaKind, playing: Option<&str>) -> String {
    match playing {
        Some(title) => format!("{title} · Rusteze"),
        None => format!("Rusteze · {kind}"),
    }
}

/// The program behind the window.
pub struct App {
    kind: MediaKind,
    tracker_url: String,
    data_dir: PathBuf,
    upload_limit_bps: u64,
    relay_limit_bps: u64,
    frame_log: Option<PathBuf>,
    backend: Backend,
    waker: Waker,
    node: Option<Arc<NodeSnapshot>>,
    /// Shown before the node has said anything.
    nothing: NodeSnapshot,
    failure: Option<String>,
    screen: Screen,
    query: Query,
    order: Vec<usize>,
    queue: Queue,
    covers: Covers,
    session: Option<Session>,
    next_ticket: Ticket,
    /// What `--play` asked for, until something is played.
    wanted: Option<Wanted>,
    storage: Storage,
    toasts: Toasts,
    chrome: Chrome,
    share_path: String,
    /// The window's title as it was last set.
    title: String,
    journal: SharedJournal,
    console: Console,
    shows_statistics: bool,
    shows_help: bool,
    focus_search: bool,
    capture: Option<Capture>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "App({}, {:?})", self.kind, self.screen)
    }
}

impl App {
    /// Starts the node and makes the window ready.
    pub fn start(
        ctx: &egui::Context,
        config: PeerConfig,
        options: WindowOptions,
        journal: SharedJournal,
    ) -> std::io::Result<Self> {
        theme::install(ctx);
        let repaint = ctx.clone();
        // A delay above zero costs one pass instead of two; every waker asks this way.
        let waker: Waker = Arc::new(move || repaint.request_repaint_after(Duration::from_millis(1)));
        let updates = Arc::new(Updates::new(Arc::clone(&waker)));
        let mut storage = Storage::load(&config.data_dir);
        if let Some(theme) = options.theme {
            storage.settings.theme = theme;
        }
        if options.network {
            storage.settings.shows_network = true;
        }
        ctx.set_theme(logic::theme_preference(storage.settings.theme));
        // Zooming is a command like any other, listed and remembered.
        ctx.options_mut(|options| options.zoom_with_keyboard = false);
        ctx.set_zoom_factor(storage.settings.zoom);
        let (kind, data_dir) = (config.kind, config.data_dir.clone());
        let NodeConfig { upload_limit_bps, relay_limit_bps, .. } = config.node_config();
        let tracker_url = config.tracker_url.clone();
        let query = Query {
            search: String::new(),
            sort: storage.settings.sort,
            is_descending: storage.settings.is_descending,
        };
        Ok(Self {
            kind,
            tracker_url,
            data_dir,
            upload_limit_bps,
            relay_limit_bps,
            frame_log: options.frame_log,
            backend: Backend::start(config, updates)?,
            waker,
            node: None,
            nothing: NodeSnapshot::default(),
            failure: None,
            screen: Screen::Library,
            query,
            order: Vec::new(),
            queue: Queue::default(),
            covers: Covers::default(),
            session: None,
            next_ticket: 0,
            wanted: options.play.map(Wanted::new),
            storage,
            toasts: Toasts::default(),
            chrome: Chrome::default(),
            share_path: String::new(),
            title: window_title(kind, None),
            journal,
            console: Console::default(),
            shows_statistics: false,
            shows_help: false,
            focus_search: false,
            capture: options.screenshot_dir.map(|folder| Capture::new(folder, options.screenshot_every)),
        })
    }

    fn node(&self) -> &NodeSnapshot {
        self.node.as_deref().unwrap_or(&self.nothing)
    }

    fn scene<'a>(&'a self, ctx: &egui::Context) -> ui::Scene<'a> {
        let now = ctx.input(|input| input.time);
        let is_dropping = ctx.input(|input| !input.raw.hovered_files.is_empty());
        ui::Scene {
            kind: self.kind,
            now,
            screen: self.screen,
            node: self.node(),
            failure: self.failure.as_deref(),
            query: &self.query,
            order: &self.order,
            queue: &self.queue,
            covers: &self.covers,
            playing: self.session.as_ref().map(|session| &session.now_playing),
            video: self.session.as_ref().and_then(Session::video),
            settings: &self.storage.settings,
            toasts: &self.toasts,
            share_path: &self.share_path,
            console: &self.console,
            shows_controls: self.chrome.is_visible(now, input::is_chrome_held(self, ctx)),
            shows_statistics: self.shows_statistics,
            shows_help: self.shows_help,
            is_fullscreen: input::is_fullscreen(ctx),
            focus_search: self.focus_search,
            is_dropping,
            tracker_url: &self.tracker_url,
            data_dir: &self.data_dir,
            upload_limit_bps: self.upload_limit_bps,
            relay_limit_bps: self.relay_limit_bps,
        }
    }
}

impl eframe::App for App {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        self.update(ctx);
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        let mut commands = input::commands(self, ui);
        ui::draw(ui, &self.scene(ui.ctx()), &mut commands);
        self.focus_search = false;
        for command in commands {
            self.apply(ui.ctx(), command);
        }
        self.schedule_repaint(ui.ctx());
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        visuals.panel_fill.to_normalized_gamma_f32()
    }

    fn on_exit(&mut self, _gl: Option<&eframe::glow::Context>) {
        self.stop();
        self.storage.save_now();
    }
}
