//! The JSON behind the dashboard: `/api/status`, `/api/files`, `/api/clients`, `/api/relays`, `/api/swarms`,
//! `/api/swarms/{content_id}`, `/api/cover/{content_id}`.
//!
//! Field names are stable: scripts read them. Counts of the file index and the planner are of the last second, however many ask.

use std::sync::atomic::Ordering::Relaxed;

use actix_web::{HttpResponse, Responder, http::header, web};
use peer_actor::clock;
use serde::Serialize;
use shared::{
    ContentId, MediaKind, NodeId,
    wire::{CatalogueEntry, Role},
};

use crate::{
    observe::{Observatory, Sample, locked},
    path_planner::relays::PeerRelays,
};

/// The answer of `GET /api/status`.
#[derive(Debug, Serialize)]
pub struct Status {
    /// This program's version.
    pub version: &'static str,
    /// The tracker's key.
    pub node: NodeId,
    /// How long it runs.
    pub uptime_ms: u64,
    /// Audio clients here.
    pub audio_clients: usize,
    /// Video clients here.
    pub video_clients: usize,
    /// Audio files and their bytes.
    pub audio: Library,
    /// Video files and their bytes.
    pub video: Library,
    /// Contents somebody wants now.
    pub swarms: usize,
    /// Wants of all contents together.
    pub viewers: usize,
    /// Connections the tracker itself relays now.
    pub relays: usize,
    /// What relayed connections may carry through the tracker in all, or 0 for no limit.
    pub relay_limit_bps: u64,
    /// What peers relay, as they say.
    pub peer_relays: PeerRelays,
    /// Bytes the library has sent.
    pub origin_sent_bytes: u64,
    /// Bytes the tracker itself relayed.
    pub relayed_bytes: u64,
    /// Grows with every change of what `/api/files` answers, from 0 at the tracker's start: who keeps that need not ask again meanwhile.
    pub catalogue_version: u64,
    /// The last two minutes, a sample a second, oldest first.
    pub history: Vec<Sample>,
}

/// A kind's part of the catalogue.
#[derive(Debug, Serialize)]
pub struct Library {
    /// Files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// An element of `GET /api/files`.
#[derive(Debug, Serialize)]
pub struct File {
    /// The BLAKE3 hash of its bytes.
    pub content_id: ContentId,
    /// The file name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Audio or video.
    pub kind: MediaKind,
    /// Length of the media.
    pub duration_ms: u64,
    /// Mean bits per second.
    pub bitrate: u64,
    /// Codecs of the streams.
    pub codecs: Vec<String>,
    /// The container's short name.
    pub container: String,
    /// Picture size; zero for sound.
    pub width: u32,
    /// Picture size; zero for sound.
    pub height: u32,
    /// Title from tags, or empty.
    pub title: String,
    /// Artist from tags, or empty.
    pub artist: String,
    /// Album from tags, or empty.
    pub album: String,
    /// Nodes that have all of it, the library included.
    pub sources: u32,
    /// Whether the tracker's own library has it.
    pub at_origin: bool,
    /// Whether `/api/cover/{content_id}` has a picture.
    pub has_cover: bool,
}

/// An element of `GET /api/clients`; says nothing of where the client is.
#[derive(Debug, Serialize)]
pub struct Client {
    /// The first digits of its key.
    pub node: String,
    /// Peer, or the tracker's own origin.
    pub role: Role,
    /// Its kind.
    pub kind: Option<MediaKind>,
    /// Program and version.
    pub agent: String,
    /// How long it is here.
    pub age_ms: u64,
    /// The last round trip, or 0.
    pub rtt_us: u32,
}

/// An element of `GET /api/relays`: a connection the tracker relays. Between whom is the console's to say.
#[derive(Debug, Serialize)]
pub struct Relayed {
    /// Bytes from the end that says Hello, and from the other.
    pub carried_bytes: [u64; 2],
    /// How long it lasts.
    pub age_s: u64,
}

/// Mounts the JSON.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/api/status", web::get().to(status))
        .route("/api/files", web::get().to(files))
        .route("/api/clients", web::get().to(clients))
        .route("/api/relays", web::get().to(relays))
        .route("/api/swarms", web::get().to(swarms))
        .route("/api/swarms/{content_id}", web::get().to(swarm))
        .route("/api/cover/{content_id}", web::get().to(cover));
}

async fn status(observatory: web::Data<Observatory>) -> impl Responder {
    let (index, planner) = observatory.latest();
    let sessions = observatory.registry.sessions();
    let count = |kind| sessions.iter().filter(|entry| entry.info.kind == Some(kind)).count();
    let library = |kind| {
        let (files, bytes) = observatory.registry.library(kind);
        Library { files, bytes }
    };
    let counters = &observatory.registry.counters;
    web::Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        node: observatory.node,
        uptime_ms: clock::now_ms(),
        audio_clients: count(MediaKind::Audio),
        video_clients: count(MediaKind::Video),
        audio: library(MediaKind::Audio),
        video: library(MediaKind::Video),
        swarms: planner.watched,
        viewers: planner.viewers,
        relays: observatory.relays.in_use(),
        relay_limit_bps: observatory.relays.limit_bps(),
        peer_relays: planner.relays,
        origin_sent_bytes: u64::try_from(counters.origin_sent_bytes.get()).unwrap_or(0),
        relayed_bytes: counters.relayed_bytes.get(),
        catalogue_version: index.version,
        history: locked(&observatory.history).samples(),
    })
}

async fn files(observatory: web::Data<Observatory>) -> impl Responder {
    let files: Vec<File> = observatory.registry.files().iter().map(|entry| File::from(&**entry)).collect();
    web::Json(files)
}

async fn clients(observatory: web::Data<Observatory>) -> impl Responder {
    let now_ms = clock::now_ms();
    let clients = observatory.registry.sessions().into_iter().map(|entry| Client {
        node: entry.info.node.short(),
        role: entry.info.role,
        kind: entry.info.kind,
        agent: entry.info.agent.clone(),
        age_ms: now_ms.saturating_sub(entry.since_ms),
        rtt_us: entry.rtt_us.load(Relaxed),
    });
    web::Json(clients.collect::<Vec<_>>())
}

async fn relays(observatory: web::Data<Observatory>) -> impl Responder {
    let relays = observatory.relays.relays().into_iter();
    let relayed = relays.map(|relay| Relayed { carried_bytes: relay.carried_bytes, age_s: relay.age_s });
    web::Json(relayed.collect::<Vec<_>>())
}

async fn swarms(observatory: web::Data<Observatory>) -> impl Responder {
    let (_, planner) = observatory.latest();
    web::Json(observatory.swarms(planner))
}

async fn swarm(observatory: web::Data<Observatory>, path: web::Path<String>) -> HttpResponse {
    let Ok(content_id) = path.parse::<ContentId>() else { return HttpResponse::NotFound().finish() };
    match observatory.picture(content_id).await {
        Some(picture) => HttpResponse::Ok().json(picture),
        None => HttpResponse::NotFound().finish(),
    }
}

async fn cover(observatory: web::Data<Observatory>, path: web::Path<String>) -> HttpResponse {
    let Ok(content_id) = path.parse::<ContentId>() else { return HttpResponse::NotFound().finish() };
    let kept = [MediaKind::Video, MediaKind::Audio].into_iter().find_map(|kind| {
        observatory.registry.hints((kind, content_id)).filter(|hints| !hints.cover_jpeg.is_empty())
    });
    let Some(hints) = kept else { return HttpResponse::NotFound().finish() };
    // A picture from a stranger: served as what it claims to be and nothing else.
    HttpResponse::Ok()
        .content_type("image/jpeg")
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CACHE_CONTROL, "max-age=300"))
        .body(hints.cover_jpeg.clone())
}

impl From<&CatalogueEntry> for File {
    fn from(entry: &CatalogueEntry) -> Self {
        let file = &entry.file;
        Self {
            content_id: file.content_id,
            name: file.name.clone(),
            size: file.size_bytes,
            kind: file.kind,
            duration_ms: file.duration_ms,
            bitrate: file.bitrate_bps,
            codecs: file.codecs.clone(),
            container: file.container.clone(),
            width: file.width,
            height: file.height,
            title: file.title.clone(),
            artist: file.artist.clone(),
            album: file.album.clone(),
            sources: entry.sources,
            at_origin: entry.at_origin,
            has_cover: file.has_cover,
        }
    }
}
