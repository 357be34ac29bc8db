//! A running node as programs see it: snapshots to read, contents to open, folders to share.

use std::{path::PathBuf, sync::Arc};

use actix::{MailboxError, Recipient};
use actix_web::{HttpRequest, HttpResponse, web};
use shared::{
    ContentId, NodeId,
    snapshot::{NetworkFile, NodeSnapshot, StreamSnapshot},
    wire::Hints,
};
use thiserror::Error;
use tokio::sync::watch;

use super::observer::{GatewayUp, Notify};
use crate::{
    chunk_scheduler::{ContentReader, OpenStream, SubscribeStream, TooManyStreams},
    discovery::{self, FetchHints},
    file_index::{GetLocalHints, ShareError, ShareFolder, UnshareFolder},
    mailbox,
    path_planner::{self, IncomingLink},
    session::LocalNode,
    store::{Store, StoreError},
};

/// A running node. Cheap to clone; every clone is the same node.
#[derive(Debug, Clone)]
pub struct NodeHandle {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) local: LocalNode,
    pub(super) listen_port: Option<u16>,
    pub(super) store: Store,
    pub(super) snapshots: watch::Receiver<Arc<NodeSnapshot>>,
    pub(super) open: Recipient<OpenStream>,
    pub(super) subscribe: Recipient<SubscribeStream>,
    pub(super) share: Recipient<ShareFolder>,
    pub(super) unshare: Recipient<UnshareFolder>,
    pub(super) local_hints: Recipient<GetLocalHints>,
    pub(super) hints: Option<Recipient<FetchHints>>,
    pub(super) incoming: Recipient<IncomingLink>,
    pub(super) notify: Recipient<Notify>,
    pub(super) gateway_up: Recipient<GatewayUp>,
    pub(super) stop_planner: Recipient<path_planner::Stop>,
    pub(super) stop_discovery: Option<Recipient<discovery::Stop>>,
}

/// Why a content cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Neither the network nor this node knows it.
    #[error("nobody in the network has {0}")]
    Unknown(ContentId),
    /// Too much is open.
    #[error(transparent)]
    TooMany(#[from] TooManyStreams),
    /// Its bytes cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node stops.
    #[error("the node is stopping")]
    Stopping,
}

impl From<MailboxError> for OpenError {
    fn from(_: MailboxError) -> Self {
        Self::Stopping
    }
}

impl NodeHandle {
    /// This node's public key.
    pub fn node_id(&self) -> NodeId {
        self.inner.local.identity.node_id()
    }

    /// The port of the peer endpoint, where it has one of its own.
    pub fn listen_port(&self) -> Option<u16> {
        self.inner.listen_port
    }

    /// The store, for reads and measurements.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The latest snapshot.
    pub fn snapshot(&self) -> Arc<NodeSnapshot> {
        self.inner.snapshots.borrow().clone()
    }

    /// Follows the snapshot: a new one on change, four times a second at most.
    pub fn watch(&self) -> watch::Receiver<Arc<NodeSnapshot>> {
        self.inner.snapshots.clone()
    }

    /// Follows one content's playback progress and piece map by subscribing at the chunk scheduler. None once the node has stopped.
    pub async fn subscribe_stream(
        &self,
        content_id: ContentId,
    ) -> Option<watch::Receiver<Option<Arc<StreamSnapshot>>>> {
        self.inner.subscribe.send(SubscribeStream { content_id }).await.ok()
    }

    /// What the network, or this node alone, says of a content.
    pub fn file(&self, content_id: &ContentId) -> Option<NetworkFile> {
        self.snapshot().files.iter().find(|file| file.content_id == *content_id).cloned()
    }

    /// Opens a reader on a content, joining its swarm if bytes are missing here.
    pub async fn open(&self, content_id: ContentId) -> Result<ContentReader, OpenError> {
        let file = self.file(&content_id).ok_or(OpenError::Unknown(content_id))?;
        let store = self.inner.store.clone();
        let (size_bytes, name) = (file.size, file.name.clone());
        let content = tokio::task::spawn_blocking(move || store.open_content(content_id, size_bytes, &name));
        let content = content.await.map_err(|_| OpenError::Stopping)??;
        // Where the catalogue is wrong about what is proven here, readers go by what is here.
        let file = Arc::new(NetworkFile { size: content.size_bytes(), ..file });
        let request = OpenStream { file, content };
        Ok(self.inner.open.send(request).await??)
    }

    /// Cover, time index and start-up ranges of a file, from this node's own index or the tracker.
    pub async fn hints(&self, content_id: ContentId) -> Option<Hints> {
        if let Ok(Some(hints)) = self.inner.local_hints.send(GetLocalHints { content_id }).await {
            return Some(hints);
        }
        self.inner.hints.as_ref()?.send(FetchHints { content_id }).await.ok().flatten()
    }

    /// Shares a folder, now and whenever its files change.
    pub async fn share_folder(&self, path: PathBuf) -> Result<(), ShareError> {
        self.inner
            .share
            .send(ShareFolder { path: path.clone() })
            .await
            .unwrap_or(Err(ShareError::NotShared(path)))
    }

    /// Shares a folder no more.
    pub async fn unshare_folder(&self, path: PathBuf) -> Result<(), ShareError> {
        self.inner
            .unshare
            .send(UnshareFolder { path: path.clone() })
            .await
            .unwrap_or(Err(ShareError::NotShared(path)))
    }

    /// Upgrades an HTTP request at a peer endpoint that a caller has mounted in its own server (see [`path_planner::accept_peer`]).
    pub fn accept(
        &self,
        request: &HttpRequest,
        payload: web::Payload,
    ) -> Result<HttpResponse, actix_web::Error> {
        path_planner::accept_peer(request, payload, &self.inner.local, &self.inner.incoming)
    }

    /// Shows a message to the person at the node.
    pub fn notify(&self, is_error: bool, text: impl Into<String>) {
        mailbox::post(&self.inner.notify, Notify { is_error, text: text.into() });
    }

    /// Tells observers where the gateway listens.
    pub fn gateway_is_up(&self, url: String) {
        mailbox::post(&self.inner.gateway_up, GatewayUp(url));
    }

    /// Says goodbye to tracker and neighbours and saves what is held. The actix system is the caller's to stop.
    pub async fn stop(&self) {
        if let Some(discovery) = &self.inner.stop_discovery
            && discovery.send(discovery::Stop).await.is_err()
        {
            tracing::debug!("discovery had stopped already");
        }
        if self.inner.stop_planner.send(path_planner::Stop).await.is_err() {
            tracing::debug!("the path planner had stopped already");
        }
        let store = self.inner.store.clone();
        if tokio::task::spawn_blocking(move || store.flush()).await.is_err() {
            tracing::error!("the store could not be synced");
        }
    }
}
