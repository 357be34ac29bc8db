//! Sample data for tests and the gallery: a small network as a person would meet it.

use std::{path::Path, sync::Arc};

use egui::{Color32, ColorImage};
use gui::{
    app::{command::Screen, covers::Covers, ui::Scene},
    model::{
        console::Console,
        journal::{Journal, Severity},
        library::{self, Query},
        playback,
        player::NowPlaying,
        queue::Queue,
        settings::Settings,
        toasts::Toasts,
    },
};
use media::{PlayerSnapshot, PlayerState};
use shared::{
    ContentId, MediaKind, NodeId,
    snapshot::{
        NetworkFile, NodeSnapshot, PeerSnapshot, PieceState, PlanSnapshot, PlannedPath, ShareStatus,
        StreamSnapshot, TrackerStatus,
    },
    wire::{PathKind, Role},
};

/// Everything a [`Scene`] borrows from.
pub(crate) struct Sample {
    pub kind: MediaKind,
    pub screen: Screen,
    pub node: NodeSnapshot,
    pub query: Query,
    pub order: Vec<usize>,
    pub queue: Queue,
    pub covers: Covers,
    pub playing: Option<NowPlaying>,
    pub video: Option<egui::TextureHandle>,
    pub settings: Settings,
    pub toasts: Toasts,
    pub share_path: String,
    pub console: Console,
    pub shows_controls: bool,
    pub shows_statistics: bool,
    pub shows_help: bool,
    pub is_dropping: bool,
    pub now: f64,
}

impl Sample {
    pub(crate) fn new(kind: MediaKind) -> Self {
        let node = node(kind);
        let order = library::arrange(&node.files, &Query::default());
        Self {
            kind,
            screen: Screen::Library,
            node,
            query: Query::default(),
            order,
            queue: Queue::default(),
            covers: Covers::default(),
            playing: None,
            video: None,
            settings: Settings::default(),
            toasts: Toasts::default(),
            share_path: String::new(),
            console: console(),
            shows_controls: true,
            shows_statistics: false,
            shows_help: false,
            is_dropping: false,
            now: 100.0,
        }
    }

    /// Gives the first files titles in scripts that the program's own font lacks.
    #[allow(dead_code, reason = "the tests have no fonts for them")]
    pub(crate) fn speak_many_languages(&mut self) {
        let titles = [
            ("さくらさくら 桜の花", "箏曲 · 日本の歌"),
            ("نسم علينا الهوى", "فيروز"),
            ("Holiday party 🎉🏖 2019", "👩‍👩‍👧 family"),
            ("한국어 영화 모음집", "서울"),
            ("天空之城与大海的故事", "中文"),
            ("शुभ यात्रा", "हिन्दी"),
            ("שיר השירים", "עברית"),
            ("สวัสดีชาวโลก", "ไทย"),
        ];
        let mut files = self.node.files.to_vec();
        for (file, (title, artist)) in files.iter_mut().zip(titles) {
            (file.title, file.artist) = (title.to_owned(), artist.to_owned());
        }
        self.node.files = Arc::new(files);
    }

    /// Starts the file at `index`, `seconds` in, with half of it here.
    pub(crate) fn play(&mut self, index: usize, state: PlayerState) -> &mut NowPlaying {
        self.screen = Screen::Player;
        let file = self.node.files[index].clone();
        let list = self.order.iter().map(|index| self.node.files[*index].content_id).collect();
        self.queue.fill(list, file.content_id, None);
        let mut playing = NowPlaying::new(&file);
        playing.has_next = true;
        if file.kind == MediaKind::Audio {
            playing.waveform = waveform();
        }
        playing.rate_history = (0..120_u64).map(|i| 6_000_000 + (i * i * 7_919) % 5_000_000).collect();
        playing.handle_stream(Arc::new(stream(&file)));
        let playback = PlayerSnapshot {
            state,
            position_ms: file.duration_ms * 3 / 10,
            duration_ms: file.duration_ms,
            buffered_ahead_ms: 21_000,
            has_video: file.kind == MediaKind::Video,
            has_audio: true,
            width: file.width,
            height: file.height,
            volume: 0.8,
            output: "default device".to_owned(),
            frames_shown: 2_913,
            av_offset_ms: -3,
            ..playback::before_opening(file.duration_ms)
        };
        playing.handle_playback(0.0, playback);
        self.playing.insert(playing)
    }

    /// Half the rate the film needs, from two of three sources.
    #[allow(dead_code, reason = "not every test waits")]
    pub(crate) fn slow_down(&mut self) {
        let Some(playing) = &mut self.playing else { return };
        let Some(stream) = playing.stream.as_deref() else { return };
        let mut slow = StreamSnapshot { download_bps: stream.bitrate / 2, ..stream.clone() };
        slow.peers.truncate(3);
        slow.peers[2].rate_bps = 0;
        playing.rate_history = vec![slow.download_bps; 120];
        playing.handle_stream(Arc::new(slow));
        playing.handle_playback(1.0, playing.playback.clone());
    }

    /// Twenty sources, a plan below what the film needs, and one source that holds it up.
    #[allow(dead_code, reason = "not every test draws a crowd")]
    pub(crate) fn crowd_in(&mut self) {
        let Some(playing) = &mut self.playing else { return };
        let Some(stream) = playing.stream.as_deref() else { return };
        let mut crowd = StreamSnapshot { download_bps: stream.bitrate * 2 / 3, ..stream.clone() };
        (crowd.buffered_ahead_ms, crowd.waiting) = (900, Some("this part is on its way".to_owned()));
        crowd.peers.retain(|peer| !peer.banned && peer.connected);
        for number in 7..23_u8 {
            let mut peer = crowd.peers[usize::from(number) % 3].clone();
            peer.node = NodeId(std::array::from_fn(|i| number.wrapping_mul(29).wrapping_add(i as u8 * 5)));
            peer.rate_bps = u64::from(number % 7) * 60_000;
            crowd.peers.push(peer);
        }
        crowd.peers[1].in_flight_bytes = 1_500_000;
        playing.handle_stream(Arc::new(crowd));
    }

    pub(crate) fn scene(&self) -> Scene<'_> {
        Scene {
            kind: self.kind,
            now: self.now,
            screen: self.screen,
            node: &self.node,
            failure: None,
            query: &self.query,
            order: &self.order,
            queue: &self.queue,
            covers: &self.covers,
            playing: self.playing.as_ref(),
            video: self.video.as_ref(),
            settings: &self.settings,
            toasts: &self.toasts,
            share_path: &self.share_path,
            console: &self.console,
            shows_controls: self.shows_controls,
            shows_statistics: self.shows_statistics,
            shows_help: self.shows_help,
            is_fullscreen: false,
            focus_search: false,
            is_dropping: self.is_dropping,
            tracker_url: "ws://127.0.0.1:7700",
            data_dir: Path::new("/users/ada/.local/share/rusteze/video"),
            upload_limit_bps: 0,
            relay_limit_bps: 8_000_000,
        }
    }
}

fn console() -> Console {
    let mut journal = Journal::default();
    for (number, (severity, origin, text)) in [
        (Severity::Info, "peer_actor::node::start", "the node listens port=7801"),
        (Severity::Info, "peer_actor::discovery::actor", "registered at the tracker files=10"),
        (
            Severity::Warning,
            "peer_actor::session::state",
            "a peer does not answer peer=5d0c6b waited_ms=15000",
        ),
        (
            Severity::Error,
            "peer_actor::chunk_scheduler::stream",
            "a leaf does not verify, its sender is banned",
        ),
        (Severity::Info, "gui::app::capture", "picture of the window saved"),
    ]
    .into_iter()
    .enumerate()
    {
        journal.push(number as f64 * 1.7, severity, origin, text.to_owned());
    }
    let mut console = Console::default();
    console.refresh(&journal);
    console
}

fn node(kind: MediaKind) -> NodeSnapshot {
    let files = files(kind);
    let streams = vec![Arc::new(stream(&files[0])), Arc::new(complete(stream(&files[1])))];
    NodeSnapshot {
        streams,
        node: Some(NodeId([0xa7; 32])),
        tracker: TrackerStatus::Connected,
        listen_port: Some(7801),
        gateway_url: None,
        files: Arc::new(files),
        shares: vec![
            share("/users/ada/Videos/Holidays", 14, 8_400_000_000, 0),
            share("/srv/media/shared", 3, 610_000_000, 2),
        ],
        upload_bps: 3_200_000,
        download_bps: 8_900_000,
        uploaded_bytes: 740_000_000,
        downloaded_bytes: 1_260_000_000,
        cache_bytes: 3_100_000_000,
        cache_limit_bytes: 10_000_000_000,
        ..NodeSnapshot::default()
    }
}

fn share(path: &str, files: u32, bytes: u64, pending_files: u32) -> ShareStatus {
    ShareStatus {
        path: path.to_owned(),
        files,
        bytes,
        pending_files,
        hashed_bytes: 430_000_000,
        to_hash_bytes: 1_000_000_000,
        error: None,
    }
}

fn files(kind: MediaKind) -> Vec<NetworkFile> {
    let films = [
        ("Big Buck Bunny", "", 596, 720, 5),
        ("Sintel", "", 888, 1080, 3),
        ("Tears of Steel", "", 734, 2160, 2),
        ("Cosmos Laundromat", "", 730, 1080, 1),
        ("Elephants Dream", "", 654, 1080, 4),
        ("Spring", "", 464, 2160, 2),
        ("Agent 327: Operation Barbershop", "", 231, 1080, 7),
        ("Caminandes 3: Llamigos", "", 150, 1080, 1),
        ("A very long home video title from the summer holiday by the sea, part 2", "", 4_210, 720, 1),
        ("Glass Half", "", 193, 1080, 0),
    ];
    let tracks = [
        ("Prelude in C major, BWV 846", "Kimiko Ishizaka · Open Well-Tempered Clavier", 122, 0, 4),
        ("Fugue in C major, BWV 846", "Kimiko Ishizaka · Open Well-Tempered Clavier", 118, 0, 4),
        ("Gymnopédie No. 1", "Erik Satie · Trois Gymnopédies", 188, 0, 6),
        ("Gymnopédie No. 2", "Erik Satie · Trois Gymnopédies", 171, 0, 6),
        ("Clair de lune", "Claude Debussy · Suite bergamasque", 302, 0, 2),
        ("Harvest Moon Session", "The Field Recorders", 411, 0, 1),
        ("Untitled demo 7", "", 95, 0, 1),
        ("Rain on a tin roof", "Ambient Commons · Weather", 1_800, 0, 3),
        ("Morning Mood", "Edvard Grieg · Peer Gynt", 239, 0, 5),
        ("In the Hall of the Mountain King", "Edvard Grieg · Peer Gynt", 151, 0, 5),
        ("Nocturne in E-flat major", "Frédéric Chopin · Nocturnes Op. 9", 274, 0, 2),
        ("The Entertainer", "Scott Joplin", 238, 0, 1),
    ];
    let rows: &[(&str, &str, u64, u32, u32)] = match kind {
        MediaKind::Audio => &tracks,
        MediaKind::Video => &films,
    };
    rows.iter().enumerate().map(|(i, row)| file(kind, i as u8, *row)).collect()
}

fn file(kind: MediaKind, number: u8, row: (&str, &str, u64, u32, u32)) -> NetworkFile {
    let (title, by, seconds, height, sources) = row;
    let bitrate = if kind == MediaKind::Video { 4_200_000 } else { 320_000 };
    let (artist, album) = by.split_once(" · ").unwrap_or((by, ""));
    NetworkFile {
        content_id: ContentId(std::array::from_fn(|i| number.wrapping_mul(37).wrapping_add((i * 11) as u8))),
        name: format!("{title}.{}", if kind == MediaKind::Video { "mp4" } else { "flac" }),
        size: seconds * bitrate / 8,
        kind,
        duration_ms: seconds * 1_000,
        bitrate,
        codecs: if kind == MediaKind::Video {
            vec!["h264".into(), "aac".into()]
        } else {
            vec!["flac".into()]
        },
        container: String::new(),
        width: height * 16 / 9,
        height,
        title: title.to_owned(),
        artist: artist.to_owned(),
        album: album.to_owned(),
        sources,
        at_origin: number.is_multiple_of(3),
        has_cover: number % 4 != 3,
        is_local: number == 1,
    }
}

fn stream(file: &NetworkFile) -> StreamSnapshot {
    let pieces = 620_usize;
    let state = |i: usize| match i {
        0..=240 => PieceState::Verified,
        241..=244 => PieceState::Partial,
        245..=262 => PieceState::Requested,
        400..=430 => PieceState::Verified,
        520..=540 => PieceState::Missing,
        _ => PieceState::Available,
    };
    let at = |piece: u64| file.size * piece / pieces as u64;
    StreamSnapshot {
        content_id: file.content_id,
        name: file.name.clone(),
        size: file.size,
        duration_ms: file.duration_ms,
        bitrate: file.bitrate,
        epoch: 1,
        playhead_byte: at(186),
        playhead_ms: file.duration_ms * 3 / 10,
        buffered_ahead_ms: 21_000,
        verified_bytes: at(271),
        piece_leaves: 16,
        piece_map: (0..pieces).map(state).collect(),
        verified_ranges: vec![(0, at(241)), (at(400), at(431))],
        time_index: vec![],
        peers: peers(),
        plan: Some(PlanSnapshot {
            epoch: 17,
            sources: 5,
            sustainable_bps: 6_300_000,
            origin_reserve_bps: 2_000_000,
            predicted_bps: 6_300_000,
        }),
        download_bps: 8_900_000,
        received_bytes: at(271),
        wasted_bytes: 210_000,
        corrupt_bytes: 0,
        stalls: 0,
        waiting: None,
        complete: false,
    }
}

fn complete(stream: StreamSnapshot) -> StreamSnapshot {
    StreamSnapshot {
        verified_bytes: stream.size,
        verified_ranges: vec![(0, stream.size)],
        download_bps: 0,
        complete: true,
        ..stream
    }
}

fn peers() -> Vec<PeerSnapshot> {
    let peer = |id: u8, role, path, address: &str, rate_bps, received_bytes, rtt_us| PeerSnapshot {
        node: NodeId(std::array::from_fn(|i| id.wrapping_mul(31).wrapping_add((i * 7) as u8))),
        role,
        path,
        address: address.to_owned(),
        connected: true,
        rtt_us,
        rate_bps,
        received_bytes,
        sent_bytes: received_bytes / 3,
        goodput_bps: rate_bps * 3 / 2,
        in_flight: 2,
        in_flight_bytes: 98_304,
        leaves: 400,
        silent: false,
        banned: false,
        planned: Some(PlannedPath {
            place: u32::from(id),
            path,
            rate_bps,
            rtt_us: rtt_us as u32,
            complete: id != 2,
            uploads: true,
            share_bps: 0,
        }),
    };
    let mut peers = vec![
        peer(1, Role::Peer, PathKind::Direct, "192.168.1.20:7801", 4_100_000, 61_000_000, 1_900),
        peer(2, Role::Peer, PathKind::Reversed, "84.12.7.5:51022", 2_600_000, 38_000_000, 24_000),
        peer(3, Role::Peer, PathKind::Relayed, "via tracker", 1_300_000, 12_000_000, 61_000),
        peer(4, Role::Origin, PathKind::Direct, "127.0.0.1:7700", 900_000, 19_000_000, 400),
        peer(5, Role::Peer, PathKind::Direct, "10.0.0.9:7801", 0, 0, 0),
        peer(6, Role::Peer, PathKind::Direct, "10.0.0.66:7801", 0, 310_000, 9_000),
    ];
    peers[4].connected = false;
    peers[5].banned = true;
    peers[5].planned = None;
    peers
}

/// A song: a quiet beginning, verses and louder refrains, and an end that fades.
fn waveform() -> Vec<u8> {
    let loudness = |i: usize| {
        let at = i as f32 / 300.0;
        let part = if (at * 6.0) as usize % 2 == 1 { 0.95 } else { 0.6 };
        let beat = 0.72 + 0.28 * ((i * i * 31 + i * 17) % 97) as f32 / 97.0;
        part * beat * (at * 14.0).min(1.0) * ((1.0 - at) * 9.0).min(1.0)
    };
    (0..300).map(|i| (loudness(i) * 255.0) as u8).collect()
}

/// A drawn picture that stands for a cover or a film frame.
#[allow(dead_code, reason = "the gallery alone needs pictures")]
pub(crate) fn landscape(width: usize, height: usize, seed: u8) -> ColorImage {
    let hue = f32::from(seed) / 255.0;
    let pixel = |x: f32, y: f32| {
        let hill = |frequency: f32, level: f32, phase: f32| {
            y > level + 0.09 * (x * frequency + phase).sin() + 0.04 * (x * frequency * 2.7 + phase).cos()
        };
        let sun = ((x - 0.68).powi(2) * 3.1 + (y - 0.34).powi(2)).sqrt() < 0.13;
        let (s, v) = match (hill(5.0, 0.78, hue * 9.0), hill(8.0, 0.62, hue * 5.0), sun) {
            (true, ..) => (0.65, 0.16),
            (false, true, _) => (0.55, 0.34),
            (false, false, true) => (0.18, 0.98),
            (false, false, false) => (0.48, 0.92 - y * 0.45),
        };
        Color32::from(egui::ecolor::Hsva::new((hue + y * 0.12).fract(), s, v, 1.0))
    };
    let pixels = (0..width * height)
        .map(|i| pixel((i % width) as f32 / width as f32, (i / width) as f32 / height as f32))
        .collect();
    ColorImage::new([width, height], pixels)
}
