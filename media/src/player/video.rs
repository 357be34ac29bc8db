//! The picture thread: packets to RGBA frames at display size.
//!
//! Invariants: after a seek the first frame handed on is the one on screen at the target, and none before it; frames
//! leave in presentation order; a frame is dropped here only when its moment is long past.

use std::sync::{Arc, atomic::Ordering};

use super::{
    queue::Popped,
    schedule::{Economy, Thinning},
    shared::{Shared, TimedFrame},
};
use crate::{
    decode::{Picture, Scaler, VideoDecoder},
    error::MediaError,
    input::VideoTrack,
    time::TimeLine,
};

/// Decoded frames waiting to be shown: enough to ride out a slow one, few enough to keep memory small.
const MAX_FRAMES: usize = 6;
/// Scaling a frame that is this late would only make the next one late.
const HOPELESS_US: i64 = 150_000;

struct Worker<'a> {
    shared: &'a Shared,
    decoder: VideoDecoder,
    scaler: Scaler,
    epoch: u32,
    target_us: i64,
    /// The latest picture before the target, in case it is the one on screen there.
    held: Option<Picture>,
    landed: bool,
    economy: Economy,
    thinning: Thinning,
}

/// The thread's whole life.
pub(crate) fn run(shared: &Arc<Shared>, track: VideoTrack, line: TimeLine, cap: (u32, u32)) {
    let scaler = Scaler::new(track.rotation, cap);
    let mut worker = Worker {
        shared,
        decoder: VideoDecoder::new(track, line),
        scaler,
        epoch: 0,
        target_us: 0,
        held: None,
        landed: false,
        economy: Economy::default(),
        thinning: Thinning::default(),
    };
    loop {
        match shared.video_packets.pop() {
            Popped::Item(epoch, packet) => {
                if worker.follow(epoch) {
                    worker.feed(Some(&packet));
                }
            }
            Popped::End(epoch) => {
                if worker.follow(epoch) {
                    worker.feed(None);
                    if let Some(last) = worker.held.take() {
                        worker.hand_on(&last);
                    }
                    shared.frames.end(epoch);
                }
            }
            Popped::Closed => return,
        }
    }
}

impl Worker<'_> {
    /// Starts afresh on a new epoch; `false` if it is over already.
    fn follow(&mut self, epoch: u32) -> bool {
        if epoch == self.epoch {
            return true;
        }
        let Some(target_us) = self.shared.target_of(epoch) else { return false };
        self.decoder.flush();
        self.held = None;
        self.landed = false;
        self.thinning = Thinning::default();
        (self.epoch, self.target_us) = (epoch, target_us);
        true
    }

    fn feed(&mut self, packet: Option<&ffmpeg_next::Packet>) {
        if let Err(error) = self.decoder.send(packet) {
            tracing::debug!(%error, "a video packet is skipped");
        }
        let mut errors = 0;
        loop {
            match self.decoder.receive() {
                Ok(Some(picture)) => {
                    if !self.take(picture) {
                        return;
                    }
                }
                Ok(None) | Err(MediaError::Eof) => return,
                Err(error) => {
                    errors += 1;
                    tracing::debug!(%error, "a picture is skipped");
                    if errors > 16 {
                        return;
                    }
                }
            }
        }
    }

    /// `false` once the epoch is over.
    fn take(&mut self, picture: Picture) -> bool {
        if self.landed {
            return self.hand_on(&picture);
        }
        if picture.pts_us + picture.duration_us <= self.target_us {
            self.held = Some(picture);
            return true;
        }
        self.landed = true;
        let before = self.held.take();
        match before {
            // The held picture stays on screen until this one's time, which is after the target.
            Some(before) if picture.pts_us > self.target_us => {
                self.hand_on(&before) && self.hand_on(&picture)
            }
            _ => self.hand_on(&picture),
        }
    }

    fn hand_on(&mut self, picture: &Picture) -> bool {
        if self.is_hopeless(picture) {
            self.shared.decoder_drops.fetch_add(1, Ordering::SeqCst);
            return true;
        }
        let frame = match self.scaler.convert(picture) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::warn!(%error, "a picture cannot be converted");
                return true;
            }
        };
        if !self.shared.frames.wait_room(self.epoch, MAX_FRAMES) {
            return false;
        }
        let bytes = frame.rgba.len();
        let timed =
            TimedFrame { pts_us: picture.pts_us, end_us: picture.pts_us + picture.duration_us, frame };
        self.shared.frames.push(self.epoch, timed, bytes, picture.duration_us)
    }

    /// Too late to be worth scaling, while frames that are shown wait behind it.
    fn is_hopeless(&mut self, picture: &Picture) -> bool {
        let shared = self.shared;
        if shared.time.is_virtual() || !shared.facts().landed {
            return false;
        }
        let position_us = shared.sound.clock.position_us(shared.time.now_us());
        let late = picture.pts_us + picture.duration_us + HOPELESS_US < position_us;
        self.decoder.set_economy(self.economy.note(late));
        self.thinning.drops(late)
    }
}
