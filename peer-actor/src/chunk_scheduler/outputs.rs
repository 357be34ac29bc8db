//! What a stream wants done: frames to sources, bans, and reports on how it goes.
//!
//! Nothing is decided here; a frame that a full link refuses is missed by the core in its own time.

use std::collections::BTreeMap;

use shared::{NodeId, schedule::viewer::ViewerOutput, wire};

use super::{
    actor::SchedulerRoutes,
    messages::Idlers,
    stream::{Neighbour, Stream},
};
use crate::{
    discovery::{ReportHoldings, WatchContent},
    mailbox,
    path_planner::{GoodputMeasured, NodeBanned},
};

/// Does what the viewer core wants done.
pub(super) fn run_outputs(
    stream: &mut Stream,
    now_ms: u64,
    links: &BTreeMap<NodeId, Neighbour>,
    routes: &SchedulerRoutes,
) {
    while let Some(output) = stream.viewer.poll_output() {
        if let ViewerOutput::Ban { source } = output {
            if let Some(node) = stream.convict(source, links) {
                mailbox::post(
                    &routes.banned,
                    NodeBanned { node, reason: "served bytes that do not verify".to_owned() },
                );
            }
            continue;
        }
        let Some((node, frame)) = stream.frame_for(now_ms, &output) else { continue };
        match links.get(&node).map(|neighbour| neighbour.link.try_send(frame)) {
            Some(Ok(())) => {}
            Some(Err(_)) => tracing::debug!(?node, "a request waits: the link is full"),
            None => tracing::debug!(?node, "a request for a link that has gone"),
        }
    }
}

/// Asks the tracker for sources from `playhead_leaf` on, unless nothing is missing.
pub(super) fn watch_playhead(stream: &mut Stream, playhead_leaf: u32, routes: &SchedulerRoutes) {
    if stream.content.is_complete() || stream.content.is_gone() {
        return;
    }
    stream.is_watched = true;
    if let Some(watch) = &routes.watch {
        mailbox::post(watch, WatchContent { content_id: stream.content_id(), playhead_leaf });
    }
}

/// Tells how much of a stream is held and what its links carry.
pub(super) fn report_stream(stream: &Stream, now_ms: u64, routes: &SchedulerRoutes) {
    if let Some(holdings) = &routes.holdings {
        let (content_id, verified_bytes) = (stream.content_id(), stream.content.verified_bytes());
        let leaves = verified_bytes.div_ceil(shared::limits::LEAF_BYTES) as u32;
        mailbox::post(holdings, ReportHoldings(wire::Holdings { content_id, leaves }));
    }
    for source in stream.viewer.source_snapshots(now_ms) {
        if let (Some(node), true) = (stream.node(source.source), source.goodput_bps > 0) {
            mailbox::post(&routes.goodput, GoodputMeasured { node, bps: source.goodput_bps });
        }
    }
}

/// The neighbours that give nothing to any of the streams that know them as sources.
pub(super) fn idlers<'a>(streams: impl Iterator<Item = &'a Stream>) -> Idlers {
    let of_stream = |stream: &'a Stream| {
        stream.viewer.idlers().filter_map(|source| stream.node(source)).collect::<Vec<_>>()
    };
    Idlers(streams.flat_map(of_stream).collect())
}
