//! Viewer and uploader cores together: a small crowd on slow uplinks, with an origin that could not feed them alone.
//!
//! The model of the reference crowd: every node has one uplink that sends what its uploader commits, one chunk after the other; a frame
//! crosses 20 ms; control frames are free. Not modelled: downlinks, packet headers, verification time.

use std::collections::{BTreeMap, VecDeque};

use shared::{
    ContentId, LeafRange, LeafSet,
    limits::LEAF_BYTES,
    schedule::{
        RequestIds,
        uploader::{Uploader, UploaderOutput},
        viewer::{SourceTraits, Viewer, ViewerConfig, ViewerOutput},
    },
    units::{leaf_count, leaf_of},
    wire::{PathKind, RequestId, WantedChunk},
};

const CONTENT: ContentId = ContentId([3; 32]);
const DELAY_MS: u64 = 20;
const ANNOUNCE_MS: u64 = 60;

#[test]
fn a_crowd_feeds_itself_and_the_origin_sends_little_more_than_it_must() {
    // The origin alone could feed each of eight 0.31 Mbit/s; the swarm as a whole can carry 1.51. This is two thirds of that.
    let mut crowd = Crowd::new(8, 2_500_000, 1_200_000, 1_000_000, 40_000);
    crowd.run(60_000);
    let stalled_ms: u64 = crowd.viewers.iter().map(|viewer| viewer.played.stalled_ms).sum();
    let starts: Vec<Option<u64>> = crowd.viewers.iter().map(|viewer| viewer.played.start_ms).collect();
    let copies = crowd.origin_copies();
    assert!(starts.iter().all(|start_ms| start_ms.is_some_and(|ms| ms < 4_000)), "{starts:?}");
    assert!(stalled_ms <= 8 * 40_000 / 50, "{stalled_ms} ms of stalls");
    assert!(copies <= 2.2, "{copies} copies");
}

#[derive(Debug, Clone, Copy)]
struct Played {
    start_ms: Option<u64>,
    stalled_ms: u64,
}

struct CrowdViewer {
    viewer: Viewer,
    joins_ms: u64,
    media_ms: u64,
    needs_ms: u64,
    played: Played,
    news: Vec<LeafRange>,
}

struct Uplink {
    uploader: Uploader,
    bytes_per_ms: f64,
    saved: f64,
    pipe: VecDeque<(usize, RequestId, LeafRange, u64)>,
    sent_bytes: u64,
}

enum Message {
    Request { epoch: u32, chunk: WantedChunk },
    Cancel(Vec<RequestId>),
    Flush(u32),
    Data(RequestId, LeafRange),
    Have(Vec<LeafRange>, u32),
}

/// Viewers are nodes `0..n`; node `n` is the origin.
struct Crowd {
    now_ms: u64,
    size_bytes: u64,
    rate_bps: u64,
    viewers: Vec<CrowdViewer>,
    uplinks: Vec<Uplink>,
    messages: BTreeMap<(u64, u64), (usize, usize, Message)>,
    next: u64,
}

impl Crowd {
    fn new(viewers: usize, origin_bps: u64, uplink_bps: u64, rate_bps: u64, media_ms: u64) -> Self {
        let size_bytes = rate_bps * media_ms / 8_000;
        let viewer = |n: usize| {
            let config = ViewerConfig {
                bitrate_bps: rate_bps,
                duration_ms: media_ms,
                startup_ranges: vec![(0, LEAF_BYTES)],
                ..ViewerConfig::new(size_bytes, n as u64, RequestIds::default())
            };
            CrowdViewer {
                viewer: Viewer::new(config, LeafSet::new(leaf_count(size_bytes))),
                joins_ms: n as u64 * 5_000 / viewers as u64,
                media_ms: 0,
                needs_ms: 2_000,
                played: Played { start_ms: None, stalled_ms: 0 },
                news: Vec::new(),
            }
        };
        let uplink = |(n, bps): (usize, u64)| {
            let mut uploader = Uploader::new(0);
            if n == viewers {
                uploader = uploader.with_first_copies_first();
            }
            for link in 0..viewers as u64 {
                uploader.link_joined(link);
                uploader.credit(0, link, u64::MAX / 2);
            }
            Uplink {
                uploader,
                bytes_per_ms: bps as f64 / 8_000.0,
                saved: 0.0,
                pipe: VecDeque::new(),
                sent_bytes: 0,
            }
        };
        let rates = (0..viewers).map(|_| uplink_bps).chain([origin_bps]);
        Self {
            now_ms: 0,
            size_bytes,
            rate_bps,
            viewers: (0..viewers).map(viewer).collect(),
            uplinks: rates.enumerate().map(uplink).collect(),
            messages: BTreeMap::new(),
            next: 0,
        }
    }

    fn run(&mut self, end_ms: u64) {
        while self.now_ms < end_ms {
            while self.messages.keys().next().is_some_and(|key| key.0 <= self.now_ms) {
                if let Some((_, (from, to, message))) = self.messages.pop_first() {
                    self.receive(from, to, message);
                }
            }
            for n in 0..self.viewers.len() {
                self.view(n);
            }
            for n in 0..self.uplinks.len() {
                self.upload(n);
            }
            self.now_ms += 1;
        }
    }

    fn origin_copies(&self) -> f64 {
        self.uplinks[self.viewers.len()].sent_bytes as f64 / self.size_bytes as f64
    }

    fn receive(&mut self, from: usize, to: usize, message: Message) {
        let now_ms = self.now_ms;
        let link = from as u64;
        match message {
            Message::Request { epoch, chunk } => {
                self.uplinks[to].uploader.request(now_ms, link, CONTENT, self.size_bytes, epoch, &[chunk]);
            }
            Message::Cancel(ids) => self.uplinks[to].uploader.cancel(now_ms, link, &ids),
            Message::Flush(epoch) => self.uplinks[to].uploader.flush(now_ms, link, CONTENT, epoch),
            Message::Data(id, leaves) => {
                let bytes = leaves.len_bytes(self.size_bytes);
                let viewer = &mut self.viewers[to];
                if viewer.viewer.data_arrived(now_ms, from as u32, id, leaves, bytes).is_useful() {
                    viewer.viewer.verified(now_ms, from as u32, leaves);
                    viewer.news.push(leaves);
                }
            }
            Message::Have(ranges, backlog_ms) => {
                self.viewers[to].viewer.have(now_ms, from as u32, false, false, &ranges, backlog_ms);
            }
        }
    }

    fn view(&mut self, n: usize) {
        let now_ms = self.now_ms;
        if now_ms < self.viewers[n].joins_ms {
            return;
        }
        if now_ms == self.viewers[n].joins_ms {
            self.join(n);
        }
        if now_ms.is_multiple_of(ANNOUNCE_MS) && !self.viewers[n].news.is_empty() {
            let news = std::mem::take(&mut self.viewers[n].news);
            let backlog_ms = self.uplinks[n].uploader.backlog_ms();
            for other in 0..self.viewers.len() {
                if other != n && self.viewers[other].joins_ms <= now_ms {
                    self.send(n, other, Message::Have(news.clone(), backlog_ms));
                }
            }
        }
        if now_ms.is_multiple_of(10) {
            self.play(n);
        }
        let viewer = &mut self.viewers[n].viewer;
        if viewer.poll_timeout().is_some_and(|due| due.at_ms <= now_ms) {
            viewer.handle_timeout(now_ms);
        }
        while let Some(output) = self.viewers[n].viewer.poll_output() {
            let to = output.source() as usize;
            match output {
                ViewerOutput::Request { epoch, chunks, .. } => {
                    for chunk in chunks {
                        let (id, leaves, deadline_ms) = (chunk.id, chunk.leaves, chunk.deadline_ms);
                        let chunk = WantedChunk { id, leaves, deadline_ms, proof_skip: 0 };
                        self.send(n, to, Message::Request { epoch, chunk });
                    }
                }
                ViewerOutput::Cancel { ids, .. } => self.send(n, to, Message::Cancel(ids)),
                ViewerOutput::Flush { epoch, .. } => self.send(n, to, Message::Flush(epoch)),
                ViewerOutput::Token { .. } | ViewerOutput::Ban { .. } => panic!("{output:?}"),
            }
        }
    }

    fn join(&mut self, n: usize) {
        let origin = self.viewers.len();
        let others: Vec<usize> = (0..=origin)
            .filter(|m| *m != n && (*m == origin || self.viewers[*m].joins_ms <= self.now_ms))
            .collect();
        for other in others {
            let traits = |is_origin| SourceTraits {
                is_origin,
                path: PathKind::Direct,
                rate_hint_bps: 0,
                rtt_hint_us: 2_000 * DELAY_MS as u32,
            };
            let held: Vec<LeafRange> = match self.viewers.get(other) {
                Some(viewer) => viewer.viewer.held().runs().collect(),
                None => vec![LeafRange::new(0, leaf_count(self.size_bytes))],
            };
            let viewer = &mut self.viewers[n].viewer;
            viewer.source_joined(self.now_ms, other as u32, traits(other == origin));
            viewer.have(self.now_ms, other as u32, true, false, &held, 0);
            if other != origin {
                self.viewers[other].viewer.source_joined(self.now_ms, n as u32, traits(false));
            }
        }
    }

    /// A player that reads two seconds ahead.
    fn play(&mut self, n: usize) {
        let byte_at = |ms: u64| (ms * self.rate_bps / 8_000).min(self.size_bytes);
        let CrowdViewer { viewer, joins_ms, media_ms, needs_ms, played, .. } = &mut self.viewers[n];
        if byte_at(*media_ms) >= self.size_bytes {
            return;
        }
        let frontier = viewer.held().first_missing(leaf_of(byte_at(*media_ms)));
        let frontier = frontier.map_or(self.size_bytes, |leaf| u64::from(leaf) * LEAF_BYTES);
        let reads = byte_at(*media_ms + 2_000);
        viewer.reader_moved(self.now_ms, 1, reads.min(frontier), frontier < reads);
        if frontier <= byte_at(*media_ms) {
            *needs_ms = if played.start_ms.is_some() { 1_000 } else { 2_000 };
        }
        if frontier >= byte_at(*media_ms + *needs_ms) {
            *needs_ms = 0;
            played.start_ms.get_or_insert(self.now_ms - *joins_ms);
            *media_ms += 10;
        } else if played.start_ms.is_some() {
            played.stalled_ms += 10;
        }
    }

    fn upload(&mut self, n: usize) {
        let now_ms = self.now_ms;
        let uplink = &mut self.uplinks[n];
        uplink.uploader.handle_timeout(now_ms);
        while let Some(output) = uplink.uploader.poll_output() {
            let UploaderOutput::Serve { link, id, leaves, .. } = output else { continue };
            if uplink.uploader.read_done(now_ms, link, id, None) {
                uplink.pipe.push_back((link as usize, id, leaves, leaves.len_bytes(self.size_bytes)));
            }
        }
        uplink.saved += uplink.bytes_per_ms;
        let mut done = Vec::new();
        while let Some((to, id, leaves, left)) = uplink.pipe.front_mut() {
            let taken = (uplink.saved as u64).min(*left);
            uplink.saved -= taken as f64;
            uplink.sent_bytes += taken;
            *left -= taken;
            if *left > 0 {
                break;
            }
            done.push((*to, *id, *leaves));
            uplink.pipe.pop_front();
        }
        if uplink.pipe.is_empty() {
            uplink.saved = 0.0;
        }
        for link in 0..self.viewers.len() {
            let queued =
                uplink.pipe.iter().filter(|sending| sending.0 == link).map(|sending| sending.3).sum();
            uplink.uploader.drained(now_ms, link as u64, queued);
        }
        for (to, id, leaves) in done {
            self.send(n, to, Message::Data(id, leaves));
        }
    }

    fn send(&mut self, from: usize, to: usize, message: Message) {
        self.next += 1;
        self.messages.insert((self.now_ms + DELAY_MS, self.next), (from, to, message));
    }
}
