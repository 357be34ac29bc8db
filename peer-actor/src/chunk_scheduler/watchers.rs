//! Who wants to see streams: followers of one, and whoever looks at all of them.
//!
//! Invariant: what is shown is a snapshot of now; nothing is worked out while nobody looks.

use std::sync::Arc;

use actix::{Handler, MessageResult};
use tokio::sync::watch;

use super::{ChunkSchedulerActor, ObserveStreams, SubscribeStream};
use crate::clock;

impl Handler<SubscribeStream> for ChunkSchedulerActor {
    type Result = MessageResult<SubscribeStream>;

    fn handle(&mut self, request: SubscribeStream, _: &mut Self::Context) -> Self::Result {
        let watchers = self.watchers.entry(request.content_id).or_insert_with(|| watch::Sender::new(None));
        // Nothing is published while nobody follows, so a new follower is shown how it stands now.
        if let Some(stream) = self.streams.get(&request.content_id) {
            let snapshot = stream.snapshot(clock::now_ms(), &self.links, &self.traffic);
            watchers.send_replace(Some(Arc::new(snapshot)));
        }
        MessageResult(watchers.subscribe())
    }
}

impl Handler<ObserveStreams> for ChunkSchedulerActor {
    type Result = MessageResult<ObserveStreams>;

    fn handle(&mut self, _: ObserveStreams, _: &mut Self::Context) -> Self::Result {
        let now_ms = clock::now_ms();
        let snapshots =
            self.streams.values().map(|stream| Arc::new(stream.snapshot(now_ms, &self.links, &self.traffic)));
        MessageResult(snapshots.collect())
    }
}
