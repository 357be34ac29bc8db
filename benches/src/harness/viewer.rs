//! A viewer inside the test's own process: the node that the desktop client runs, without its window.
//!
//! It has its own actix system on its own thread, as the client has, and its own folder. Everything else is reached over sockets.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use actix_web::rt::System;
use anyhow::{Context as _, Result, anyhow};
use peer_actor::{
    chunk_scheduler::StreamSource,
    node::{self, NodeConfig, NodeHandle},
    store::Content,
};
use shared::{
    MediaKind,
    snapshot::{NetworkFile, StreamSnapshot},
    wire::Role,
};
use tokio::runtime::Runtime;

use super::{Lab, Tracker, await_until};

/// A running node. Dropping it says goodbye and joins its thread.
#[derive(Debug)]
pub struct Viewer {
    /// The node.
    pub node: NodeHandle,
    runtime: Runtime,
    system: System,
    thread: Option<JoinHandle<()>>,
}

impl Viewer {
    /// Starts a node that shares nothing and waits until it listens.
    pub fn start(lab: &Lab, name: &str, tracker: &Tracker, kind: MediaKind) -> Result<Self> {
        let config = NodeConfig {
            tracker_url: Some(format!("ws://{}", tracker.addr)),
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            ..NodeConfig::new(Role::Peer, Some(kind), lab.folder(&format!("{name}-data"))?)
        };
        let (started, answer) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            let runner = System::new();
            // Nobody listens any more only when the test has given up.
            drop(started.send((System::current(), runner.block_on(node::start(config)))));
            drop(runner.run());
        })?;
        let (system, node) = answer.recv().context("the viewer's thread ended")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        Ok(Self { node: node?, runtime, system, thread: Some(thread) })
    }

    /// Waits until the network has so many sources for a file of this name.
    pub fn await_file(&self, name: &str, sources: u32) -> Result<NetworkFile> {
        let mut found = None;
        await_until(&format!("{name} with {sources} sources"), Duration::from_secs(30), || {
            let snapshot = self.node.snapshot();
            found = snapshot.files.iter().find(|file| file.name == name && file.sources >= sources).cloned();
            Ok(found.is_some())
        })?;
        found.context("it was there")
    }

    /// Opens a file as the client does: bytes for the player, and the stored content behind them.
    pub fn open(&self, file: &NetworkFile) -> Result<(Arc<StreamSource>, Arc<Content>)> {
        let reader = self.runtime.block_on(self.node.open(file.content_id))?;
        let content = Arc::clone(reader.content());
        Ok((Arc::new(StreamSource::new(reader)), content))
    }

    /// How the stream of a file goes.
    pub fn stream(&self, file: &NetworkFile) -> Result<Arc<StreamSnapshot>> {
        let snapshot = self.node.snapshot();
        let stream = snapshot.streams.iter().find(|stream| stream.content_id == file.content_id);
        stream.cloned().ok_or_else(|| anyhow!("{} is not streamed", file.name))
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let goodbye = async { tokio::time::timeout(Duration::from_secs(5), self.node.stop()).await };
        drop(self.runtime.block_on(goodbye));
        self.system.stop();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
