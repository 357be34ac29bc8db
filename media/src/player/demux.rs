//! The demuxer thread: opens the source, reads packets, routes them, seeks.
//!
//! Invariants: it alone touches the container; it stops reading when every track is far enough ahead; a cancelled
//! read's last packet, which may be cut short, is never passed on. It owns the decoder threads and ends after them.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::AtomicI64, atomic::Ordering},
    thread::{self, JoinHandle},
    time::Duration,
};

use ffmpeg_next::{Packet, Rational};
use rtrb::Producer;

use super::{audio, queue::Queue, shared::Shared, video};
use crate::{
    error::MediaError,
    input::Media,
    output::sound::Block,
    reader::SourceReader,
    source::MediaSource,
    time::{Unwrapper, ticks_to_us},
};

/// How much earlier to try when a seek landed behind its target.
const BACK_OFF_US: [i64; 6] = [0, 1_000_000, 3_000_000, 8_000_000, 20_000_000, i64::MAX];
/// Packets held while looking for the first key frame after a seek.
const MAX_LANDING_BYTES: usize = 16 << 20;
/// So many unreadable packets in a row are the end of the file.
const MAX_BAD_PACKETS: u32 = 500;
/// Between decoding a picture and showing it lie a few frames, never this much.
const MAX_REORDER_US: i64 = 5_000_000;
/// A packet that says it lasts longer than this is damaged.
const MAX_DURATION_US: i64 = 10_000_000;
const REST: Duration = Duration::from_millis(200);

/// What one track's packets need to know to be routed.
struct Route {
    index: usize,
    time_base: Rational,
    default_duration_us: i64,
}

struct Demuxer {
    shared: Arc<Shared>,
    media: Media,
    video: Option<Route>,
    audio: Option<Route>,
    epoch: u32,
    unwrapper: Option<Unwrapper>,
    landed: VecDeque<Packet>,
    at_end: bool,
    bad_packets: u32,
}

/// The thread's whole life.
pub(crate) fn run(
    shared: &Arc<Shared>,
    source: &Arc<dyn MediaSource>,
    name: &str,
    cap: (u32, u32),
    ring: Producer<Block>,
) {
    let make = || SourceReader::new(Arc::clone(source), Arc::clone(&shared.gate));
    let gate = Arc::clone(&shared.gate);
    let mut media = match Media::open(make, name, move || gate.is_cancelled()) {
        Ok(media) => media,
        Err(_) if shared.is_closing() => return,
        Err(error) => return shared.fail(format!("{name} cannot be opened: {error}")),
    };
    let routes = note_tracks(shared, &media);
    let workers = spawn_workers(shared, &mut media, cap, ring);
    let unwrapper = media.has_broadcast_clock().then(Unwrapper::default);
    let mut demuxer = Demuxer {
        shared: Arc::clone(shared),
        media,
        video: routes.0,
        audio: routes.1,
        epoch: 0,
        unwrapper,
        landed: VecDeque::new(),
        at_end: false,
        bad_packets: 0,
    };
    demuxer.work();
    shared.video_packets.close();
    shared.audio_packets.close();
    for worker in workers {
        if worker.join().is_err() {
            shared.fail("a decoder thread panicked".to_owned());
        }
    }
}

fn note_tracks(shared: &Shared, media: &Media) -> (Option<Route>, Option<Route>) {
    let mut facts = shared.facts();
    facts.has_video = media.video.is_some();
    facts.has_audio = media.audio.is_some();
    facts.duration_us = media.duration_us.unwrap_or(0);
    if let Some(video) = &media.video {
        (facts.width, facts.height) = (video.decoder.width(), video.decoder.height());
    }
    let video = media.video.as_ref().map(|track| Route {
        index: track.index,
        time_base: track.time_base,
        default_duration_us: track.frame_duration_us,
    });
    let audio = media.audio.as_ref().map(|track| Route {
        index: track.index,
        time_base: track.time_base,
        default_duration_us: 20_000,
    });
    (video, audio)
}

fn spawn_workers(
    shared: &Arc<Shared>,
    media: &mut Media,
    cap: (u32, u32),
    ring: Producer<Block>,
) -> Vec<JoinHandle<()>> {
    let line = media.time_line();
    let mut workers = Vec::new();
    let mut keep = |spawned: std::io::Result<JoinHandle<()>>| match spawned {
        Ok(worker) => workers.push(worker),
        Err(error) => shared.fail(format!("no thread for a decoder: {error}")),
    };
    if let Some(track) = media.video.take() {
        let shared = Arc::clone(shared);
        let work = move || video::run(&shared, track, line, cap);
        keep(thread::Builder::new().name("media-video".to_owned()).spawn(work));
    }
    if let Some(track) = media.audio.take() {
        let shared = Arc::clone(shared);
        let work = move || audio::run(&shared, track, line, ring);
        keep(thread::Builder::new().name("media-audio".to_owned()).spawn(work));
    }
    workers
}

impl Demuxer {
    fn work(&mut self) {
        let mut first = true;
        while !self.shared.is_closing() {
            let seen = self.shared.demux_wake.count();
            if let Some((epoch, target_us)) = self.shared.take_seek(first) {
                self.epoch = epoch;
                self.begin(target_us, first);
                first = false;
                self.shared.conductor_wake.notify();
            } else if self.at_end || self.shared.is_full() {
                self.shared.demux_wake.wait(seen, REST);
            } else {
                let next = self.landed.pop_front().map_or_else(|| self.read(), Ok);
                self.take(next);
            }
        }
    }

    /// Moves to where `target_us` can be decoded from.
    fn begin(&mut self, target_us: i64, first: bool) {
        self.landed.clear();
        self.at_end = false;
        self.bad_packets = 0;
        if let Some(unwrapper) = &mut self.unwrapper {
            unwrapper.reset();
        }
        if first && target_us == 0 {
            return;
        }
        match self.land(target_us) {
            Ok(()) | Err(MediaError::Cancelled) => {}
            // A container that cannot seek plays on from where it is.
            Err(error) => tracing::warn!(%error, target_us, "seek failed"),
        }
    }

    /// Seeks so that the first key frame lies at or before the target, trying earlier places if need be. Where nothing
    /// better is to be had, playing goes on from what was read last.
    fn land(&mut self, target_us: i64) -> Result<(), MediaError> {
        for back_us in BACK_OFF_US {
            let from_us = target_us.saturating_sub(back_us).max(0);
            self.media.seek_us(from_us)?;
            if self.look_for_key_frame(target_us)? {
                return Ok(());
            }
        }
        self.media.rewind()?;
        self.look_for_key_frame(target_us).map(|_| ())
    }

    /// Reads up to the first key frame and keeps what was read; `false` if that frame lies behind the target.
    fn look_for_key_frame(&mut self, target_us: i64) -> Result<bool, MediaError> {
        self.landed.clear();
        let Some(video) = &self.video else { return Ok(true) };
        let (index, time_base) = (video.index, video.time_base);
        let mut held_bytes = 0;
        while held_bytes <= MAX_LANDING_BYTES {
            let packet = match self.read() {
                Ok(packet) => packet,
                Err(MediaError::InvalidData) => continue,
                Err(MediaError::Cancelled) => return Err(MediaError::Cancelled),
                Err(_) => return Ok(false),
            };
            let is_picture = packet.stream() == index;
            if is_picture && !packet.is_key() {
                // Nothing can be decoded from it alone.
                continue;
            }
            let ticks = packet.pts().or_else(|| packet.dts()).unwrap_or(0);
            let at_us = ticks_to_us(ticks, time_base) - self.media.base_us;
            held_bytes += packet.size();
            self.landed.push_back(packet);
            if is_picture {
                return Ok(at_us <= target_us);
            }
        }
        Ok(true)
    }

    fn read(&mut self) -> Result<Packet, MediaError> {
        let packet = self.media.read_packet()?;
        if self.shared.gate.is_cancelled() { Err(MediaError::Cancelled) } else { Ok(packet) }
    }

    fn take(&mut self, next: Result<Packet, MediaError>) {
        match next {
            Ok(packet) => {
                self.bad_packets = 0;
                self.route(packet);
            }
            // The seek or the closing that cancelled it is handled next.
            Err(MediaError::Cancelled) => {}
            Err(MediaError::InvalidData) if self.bad_packets < MAX_BAD_PACKETS => self.bad_packets += 1,
            Err(MediaError::Eof | MediaError::InvalidData) => self.finish(),
            Err(error) => {
                self.finish();
                self.shared.fail(format!("reading stopped: {error}"));
            }
        }
    }

    fn finish(&mut self) {
        self.at_end = true;
        self.shared.video_packets.end(self.epoch);
        self.shared.audio_packets.end(self.epoch);
        self.shared.conductor_wake.notify();
    }

    fn route(&mut self, mut packet: Packet) {
        let shared = Arc::clone(&self.shared);
        let (route, queue, until): (&Route, &Queue<Packet>, &AtomicI64) = match (&self.video, &self.audio) {
            (Some(video), _) if video.index == packet.stream() => {
                (video, &shared.video_packets, &shared.video_end_us)
            }
            (_, Some(audio)) if audio.index == packet.stream() => {
                (audio, &shared.audio_packets, &shared.audio_end_us)
            }
            _ => return,
        };
        if self.unwrapper.is_some() {
            distrust(&mut packet, route.time_base);
        }
        if let (Some(unwrapper), Some(dts)) = (&mut self.unwrapper, packet.dts().or_else(|| packet.pts())) {
            let offset_us = unwrapper.offset_for(ticks_to_us(dts, route.time_base));
            shift(&mut packet, offset_us, route.time_base);
        }
        let told_us = ticks_to_us(packet.duration(), route.time_base);
        let duration_us = believed_us(told_us, route.default_duration_us);
        let stamp = packet.pts().or_else(|| packet.dts());
        if let Some(at_us) = stamp.and_then(|ticks| self.media.time_line().place(ticks, route.time_base)) {
            until.fetch_max(at_us + duration_us, Ordering::SeqCst);
        }
        let bytes = packet.size();
        queue.push(self.epoch, packet, bytes, duration_us);
    }
}

/// How long a packet lasts, if what it says of that can be true.
fn believed_us(told_us: i64, default_us: i64) -> i64 {
    if (1..=MAX_DURATION_US).contains(&told_us) { told_us } else { default_us }
}

/// A picture is shown soon after it is decoded: a presentation time far from the decoding time is damaged.
fn distrust(packet: &mut Packet, time_base: Rational) {
    if let (Some(pts), Some(dts)) = (packet.pts(), packet.dts())
        && ticks_to_us(pts.saturating_sub(dts), time_base).abs() > MAX_REORDER_US
    {
        packet.set_pts(Some(dts));
    }
}

/// Moves a packet's timestamps by `offset_us`.
fn shift(packet: &mut Packet, offset_us: i64, time_base: Rational) {
    if offset_us == 0 {
        return;
    }
    let ticks = i128::from(offset_us) * i128::from(time_base.denominator())
        / (i128::from(time_base.numerator().max(1)) * 1_000_000);
    let ticks = i64::try_from(ticks).unwrap_or(0);
    packet.set_pts(packet.pts().map(|pts| pts.saturating_add(ticks)));
    packet.set_dts(packet.dts().map(|dts| dts.saturating_add(ticks)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_that_says_it_lasts_for_ever_lasts_as_long_as_others() {
        assert_eq!(believed_us(40_000, 20_000), 40_000);
        assert_eq!(believed_us(MAX_DURATION_US, 20_000), MAX_DURATION_US);
        for damaged_us in [i64::MIN, -1, 0, MAX_DURATION_US + 1, i64::MAX] {
            assert_eq!(believed_us(damaged_us, 20_000), 20_000);
        }
    }
}
