//! Runs the actix system with the node and its gateway on a named thread of its own, and joins it.
//!
//! Invariant: dropping [`Backend`] says goodbye to tracker and peers, saves what is held, and waits for the thread, within a
//! bound. Holds no state of the node.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use egui::ColorImage;
use peer_actor::{
    chunk_scheduler::StreamSource,
    config::{PeerConfig, start_failure},
    gateway::{self, Gateway},
    node::{self, NodeConfig, NodeHandle},
    probe::Probe,
};
use shared::ContentId;
use tokio::sync::mpsc;

use super::{Answer, Request, Ticket, updates::Updates};

/// Requests in flight; more than a person and a page of covers can cause.
const REQUESTS: usize = 256;
/// Covers are thumbnails; anything larger on a side is not one.
const MAX_COVER_SIDE: u32 = 2048;
/// A goodbye that takes longer is not worth keeping a closed window alive.
const GOODBYE: Duration = Duration::from_secs(5);

/// The window's end of the node.
#[derive(Debug)]
pub struct Backend {
    requests: Option<mpsc::Sender<Request>>,
    updates: Arc<Updates>,
    thread: Option<JoinHandle<()>>,
}

impl Backend {
    /// Starts the node; how it goes comes through `updates`.
    pub fn start(config: PeerConfig, updates: Arc<Updates>) -> io::Result<Self> {
        let (requests, inbox) = mpsc::channel(REQUESTS);
        let shared = Arc::clone(&updates);
        let work = move || actix::System::new().block_on(run(config, inbox, shared));
        let thread = thread::Builder::new().name("node".to_owned()).spawn(work)?;
        Ok(Self { requests: Some(requests), updates, thread: Some(thread) })
    }

    /// What the node says.
    pub fn updates(&self) -> &Arc<Updates> {
        &self.updates
    }

    /// Asks the node; says whether there was room for the request.
    pub fn send(&self, request: Request) -> bool {
        self.requests.as_ref().is_some_and(|requests| requests.try_send(request).is_ok())
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        // The closed channel is the node's sign to end.
        self.requests = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the node's thread panicked");
        }
    }
}

async fn run(config: PeerConfig, mut inbox: mpsc::Receiver<Request>, updates: Arc<Updates>) {
    let gateway_addr = config.gateway;
    let node = match node::start(node_config(&config)).await {
        Ok(node) => node,
        Err(error) => {
            tracing::error!(%error, "the node cannot start");
            updates.push(Answer::Failed(start_failure(&error)));
            while inbox.recv().await.is_some() {}
            return;
        }
    };
    let gateway = start_gateway(gateway_addr, &node, &updates);
    let mirror = actix::spawn(mirror_node(node.clone(), Arc::clone(&updates)));
    let mut following = None;
    while let Some(request) = inbox.recv().await {
        let is_about_stream = matches!(request, Request::Open { .. } | Request::Close);
        let task = actix::spawn(handle(node.clone(), request, Arc::clone(&updates)));
        if is_about_stream && let Some(last) = following.replace(task) {
            last.abort();
        }
    }
    mirror.abort();
    if let Some(task) = following {
        task.abort();
    }
    let goodbye = async {
        if let Some(gateway) = gateway {
            gateway.stop().await;
        }
        node.stop().await;
    };
    if tokio::time::timeout(GOODBYE, goodbye).await.is_err() {
        tracing::warn!("the node did not end in time");
    }
}

fn node_config(config: &PeerConfig) -> NodeConfig {
    // A player has FFmpeg in any case.
    NodeConfig { probe: Probe { info: media::probe_file, waveform }, ..config.node_config() }
}

fn waveform(path: &Path, duration_ms: u64, cancelled: &Arc<AtomicBool>) -> Vec<u8> {
    let cancelled = Arc::clone(cancelled);
    media::waveform(path, duration_ms, move || cancelled.load(Ordering::Relaxed))
}

fn start_gateway(addr: std::net::SocketAddr, node: &NodeHandle, updates: &Updates) -> Option<Gateway> {
    match gateway::serve(addr, node.clone()) {
        Ok(gateway) => {
            node.gateway_is_up(gateway.url());
            Some(gateway)
        }
        Err(error) => {
            updates.push(Answer::Notice { is_error: true, text: error.to_string() });
            None
        }
    }
}

async fn mirror_node(node: NodeHandle, updates: Arc<Updates>) {
    let mut snapshots = node.watch();
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        updates.set_node(snapshot);
        if snapshots.changed().await.is_err() {
            return;
        }
    }
}

async fn handle(node: NodeHandle, request: Request, updates: Arc<Updates>) {
    match request {
        Request::Open { ticket, content_id } => open(node, ticket, content_id, updates).await,
        Request::Close => {}
        Request::Cover(content_id) => {
            let hints = node.hints(content_id).await;
            let jpeg = hints.map(|hints| hints.cover_jpeg).filter(|jpeg| !jpeg.is_empty());
            let decoded = match jpeg {
                Some(jpeg) => tokio::task::spawn_blocking(move || decode_cover(&jpeg)).await.ok().flatten(),
                None => None,
            };
            updates.push(Answer::Cover(content_id, decoded));
        }
        Request::Waveform(content_id) => {
            let bars = node.hints(content_id).await.map(|hints| hints.waveform).unwrap_or_default();
            updates.push(Answer::Waveform(content_id, bars));
        }
        Request::Share(path) => {
            let shown = path.display().to_string();
            if let Err(error) = node.share_folder(path).await {
                updates
                    .push(Answer::Notice { is_error: true, text: format!("Cannot share {shown}: {error}") });
            }
        }
        Request::Unshare(path) => {
            let shown = path.display().to_string();
            if let Err(error) = node.unshare_folder(path).await {
                let text = format!("Cannot stop sharing {shown}: {error}");
                updates.push(Answer::Notice { is_error: true, text });
            }
        }
    }
}

/// Opens a content for the player and then follows its stream, until the next opening aborts this.
async fn open(node: NodeHandle, ticket: Ticket, content_id: ContentId, updates: Arc<Updates>) {
    let source = match node.open(content_id).await {
        Ok(reader) => Ok(Arc::new(StreamSource::new(reader)) as Arc<dyn media::MediaSource>),
        Err(error) => Err(error.to_string()),
    };
    let is_open = source.is_ok();
    updates.push(Answer::Opened { ticket, source });
    if !is_open {
        return;
    }
    let Some(mut stream) = node.subscribe_stream(content_id).await else { return };
    loop {
        let snapshot = stream.borrow_and_update().clone();
        if let Some(snapshot) = snapshot {
            updates.set_stream(ticket, snapshot);
        }
        if stream.changed().await.is_err() {
            return;
        }
    }
}

/// A cover as pixels; none when it is not a picture or unreasonably large.
fn decode_cover(jpeg: &[u8]) -> Option<ColorImage> {
    let mut reader = image::ImageReader::new(io::Cursor::new(jpeg)).with_guessed_format().ok()?;
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(MAX_COVER_SIDE);
    limits.max_image_height = Some(MAX_COVER_SIDE);
    reader.limits(limits);
    let picture = reader.decode().ok()?.to_rgba8();
    let size = [picture.width() as usize, picture.height() as usize];
    Some(ColorImage::from_rgba_unmultiplied(size, picture.as_raw()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cover_that_is_no_picture_is_no_cover() {
        assert!(decode_cover(b"not a picture").is_none());
        assert!(decode_cover(&[]).is_none());
    }

    #[test]
    fn a_cover_keeps_its_size() {
        let mut jpeg = io::Cursor::new(Vec::new());
        image::RgbImage::new(32, 18).write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
        assert_eq!(decode_cover(jpeg.get_ref()).map(|cover| cover.size), Some([32, 18]));
    }
}
