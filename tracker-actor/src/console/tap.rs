//! The trace: decoded messages of every session, for whoever watches.
//!
//! Invariant: while nobody watches, recording a frame is one atomic load and nothing is formatted or kept. While somebody does, the last
//! [`RING`] lines are kept, each of [`LINE_CHARS`] characters at most. Relay tokens are never shown.

use std::{
    collections::VecDeque,
    fmt::{self, Write as _},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use peer_actor::clock;
use serde::Serialize;
use shared::{
    MediaKind, NodeId,
    wire::{Frame, Message, PathOffer, RelayAnswer, RelayGrant, TrackerMessage},
};

use crate::{registry::SessionId, session::state::ClientInfo};

/// Lines kept for a watcher that is behind.
pub const RING: usize = 4_096;
/// The longest text of a line.
pub const LINE_CHARS: usize = 400;

/// Which way a frame went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the client.
    In,
    /// To the client.
    Out,
}

/// One message, as the console shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TraceLine {
    /// Grows by one a line.
    pub number: u64,
    /// When, in milliseconds of the tracker's run.
    pub at_ms: u64,
    /// Over which session.
    pub session: u64,
    /// Who, once it has proven that.
    pub node: Option<NodeId>,
    /// The client's kind.
    pub kind: Option<MediaKind>,
    /// Which way.
    pub direction: Direction,
    /// The frame's name in the registry.
    pub frame: &'static str,
    /// What it says.
    pub text: String,
}

/// The ring of the last lines, and who watches.
#[derive(Debug, Default)]
pub struct Tap {
    watchers: AtomicUsize,
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<TraceLine>,
    numbers: u64,
}

impl Tap {
    /// Somebody watches from now on.
    pub fn watch(&self) {
        self.watchers.fetch_add(1, Relaxed);
    }

    /// Somebody stopped watching; the last one takes the trace along.
    pub fn unwatch(&self) {
        if self.watchers.fetch_sub(1, Relaxed) == 1 {
            self.ring().lines.clear();
        }
    }

    /// How many watch.
    pub fn watchers(&self) -> usize {
        self.watchers.load(Relaxed)
    }

    /// Records a frame, if anybody watches.
    pub fn record(
        &self,
        client: Option<&ClientInfo>,
        session: SessionId,
        direction: Direction,
        frame: &Frame,
    ) {
        if self.watchers.load(Relaxed) == 0 {
            return;
        }
        let text = describe(&frame.message);
        let mut ring = self.ring();
        ring.numbers += 1;
        let line = TraceLine {
            number: ring.numbers,
            at_ms: clock::now_ms(),
            session: session.0,
            node: client.map(|client| client.node),
            kind: client.and_then(|client| client.kind),
            direction,
            frame: frame.message.name(),
            text,
        };
        if ring.lines.len() == RING {
            ring.lines.pop_front();
        }
        ring.lines.push_back(line);
    }

    /// The number of the last line.
    pub fn last_number(&self) -> u64 {
        self.ring().numbers
    }

    /// Up to `most` lines after number `after` that `wanted` lets through; the number to go on from, and how many were lost before.
    pub fn read(
        &self,
        after: u64,
        most: usize,
        wanted: impl Fn(&TraceLine) -> bool,
    ) -> (Vec<TraceLine>, u64, u64) {
        let ring = self.ring();
        let first = ring.lines.front().map_or(ring.numbers + 1, |line| line.number);
        let lost = first.saturating_sub(after + 1);
        let mut next = after.max(first - 1);
        let mut lines = Vec::new();
        let skipped = usize::try_from(next + 1 - first).unwrap_or(usize::MAX);
        for line in ring.lines.iter().skip(skipped) {
            if lines.len() == most {
                break;
            }
            next = line.number;
            if wanted(line) {
                lines.push(line.clone());
            }
        }
        (lines, next, lost)
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The message in short: field names and values, cut off at [`LINE_CHARS`], without secrets.
fn describe(message: &Message) -> String {
    let mut line = Line { text: String::new(), chars: 0 };
    let written = match message {
        Message::Tracker(TrackerMessage::PathOffer(offer)) => {
            let shown = PathOffer { token: offer.token.map(|_| [0; 16]), ..offer.clone() };
            write!(line, "{shown:?}")
        }
        Message::Tracker(TrackerMessage::RelayGrant(grant)) => {
            write!(line, "{:?}", RelayGrant { token: [0; 16], ..*grant })
        }
        Message::Tracker(TrackerMessage::RelayAnswer(answer)) => {
            write!(line, "{:?}", RelayAnswer { token: [0; 16], ..*answer })
        }
        Message::Tracker(TrackerMessage::PutHints(put)) => {
            let hints = &put.hints;
            write!(line, "PutHints {{ content_id: {:?}, {} }}", put.content_id, hints_in_short(hints))
        }
        Message::Tracker(TrackerMessage::HintsReply(reply)) => {
            let hints = reply.hints.as_ref().map_or_else(|| "none".to_owned(), hints_in_short);
            write!(line, "HintsReply {{ content_id: {:?}, {hints} }}", reply.content_id)
        }
        Message::Tracker(message) => write!(line, "{message:?}"),
        Message::Handshake(message) => write!(line, "{message:?}"),
        Message::Link(message) => write!(line, "{message:?}"),
        Message::Peer(message) => write!(line, "{message:?}"),
    };
    let cut_off = written.is_err();
    // The frame's name stands beside the text already.
    let inner = line.text.strip_prefix(message.name()).and_then(|text| text.strip_prefix('('));
    let mut text =
        inner.map_or_else(|| line.text.clone(), |text| text.strip_suffix(')').unwrap_or(text).to_owned());
    if cut_off {
        text.push('…');
    }
    text
}

fn hints_in_short(hints: &shared::wire::Hints) -> String {
    format!(
        "{} startup ranges, {} index points, cover of {} bytes",
        hints.startup_ranges.len(),
        hints.time_index.len(),
        hints.cover_jpeg.len()
    )
}

/// Text that refuses to grow beyond the limit, so that a huge message costs no more than a small one.
struct Line {
    text: String,
    chars: usize,
}

impl fmt::Write for Line {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        for character in piece.chars() {
            if self.chars == LINE_CHARS {
                return Err(fmt::Error);
            }
            self.chars += 1;
            self.text.push(character);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use shared::{
        ContentId,
        wire::{Hints, PathKind, PathRole, Ping, PutHints},
    };

    use super::*;

    #[test]
    fn nothing_is_kept_while_nobody_watches() {
        let tap = Tap::default();
        say(&tap, 5);
        assert_eq!(tap.last_number(), 0);
        tap.watch();
        say(&tap, 5);
        assert_eq!(tap.last_number(), 5);
        tap.unwatch();
        assert!(tap.ring().lines.is_empty());
    }

    #[test]
    fn a_watcher_reads_on_from_where_it_was() {
        let tap = Tap::default();
        tap.watch();
        say(&tap, 10);
        let (first, next, _) = tap.read(0, 4, |_| true);
        let (second, next, _) = tap.read(next, 100, |_| true);
        assert_eq!((first.len(), second.len(), next), (4, 6, 10));
        assert_eq!(tap.read(next, 100, |_| true), (Vec::new(), 10, 0));
    }

    #[test]
    fn a_watcher_that_is_behind_is_told_how_much_it_missed() {
        let tap = Tap::default();
        tap.watch();
        say(&tap, RING + 100);
        let (lines, next, lost) = tap.read(40, usize::MAX, |_| true);
        assert_eq!((lines.len(), next, lost), (RING, (RING + 100) as u64, 60));
    }

    #[test]
    fn a_filter_moves_on_past_what_it_leaves_out() {
        let tap = Tap::default();
        tap.watch();
        say(&tap, 10);
        assert_eq!(tap.read(0, 100, |line| line.number == 7).1, 10);
    }

    #[test]
    fn the_frames_name_is_not_repeated() {
        assert_eq!(describe(&Ping { nonce: 7 }.into()), "Ping { nonce: 7 }");
    }

    #[test]
    fn a_relay_token_is_never_shown() {
        let offer = PathOffer {
            node: NodeId([1; 32]),
            kind: PathKind::Relayed,
            role: PathRole::Dial,
            addresses: Vec::new(),
            token: Some([0xAB; 16]),
        };
        let ends = [NodeId([1; 32]); 2];
        let grant = RelayGrant { token: [0xAB; 16], ends, valid_ms: 9 };
        for message in [offer.into(), grant.into(), RelayAnswer { token: [0xAB; 16], granted: true }.into()] {
            let text = describe(&message);
            assert!(text.contains("token") && !text.contains("171"), "{text}");
        }
    }

    #[test]
    fn a_huge_message_makes_a_short_line() {
        let hints = Hints { cover_jpeg: vec![1; 24_000], ..Hints::default() };
        let text = describe(&PutHints { content_id: ContentId([1; 32]), hints }.into());
        assert!(text.contains("cover of 24000 bytes"), "{text}");
        let have = shared::wire::Cancel { ids: vec![123_456; 256], confirm: false };
        let text = describe(&have.into());
        assert!(text.chars().count() <= LINE_CHARS && text.ends_with('…'), "{text}");
    }

    fn say(tap: &Tap, times: usize) {
        for _ in 0..times {
            tap.record(None, SessionId(1), Direction::In, &Ping { nonce: 1 }.into());
        }
    }
}
