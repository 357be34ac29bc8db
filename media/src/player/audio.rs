//! The sound thread: packets to blocks in the ring.
//!
//! Invariants: blocks are gapless on the media's time line; after a seek the first frame is exactly at the target;
//! the thread notices within a few milliseconds that its epoch is over.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use kira::Frame;
use rtrb::Producer;

use super::{continuity::Continuity, queue::Popped, shared::Shared};
use crate::{
    decode::{AudioDecoder, Samples},
    error::MediaError,
    input::AudioTrack,
    output::sound::{BLOCK_FRAMES, Block},
    time::TimeLine,
};

/// The ring holds a third of a second: looking this often keeps it nearly full.
const RING_POLL: Duration = Duration::from_millis(15);
const RING_POLL_VIRTUAL: Duration = Duration::from_micros(300);

struct Worker<'a> {
    shared: &'a Shared,
    decoder: AudioDecoder,
    ring: Producer<Block>,
    epoch: u32,
    line: Continuity,
    speed: f32,
}

/// The thread's whole life.
pub(crate) fn run(shared: &Arc<Shared>, track: AudioTrack, line: TimeLine, ring: Producer<Block>) {
    if !wait_for(&shared.output_ready, shared) {
        return;
    }
    let rate_hz = shared.sound.rate_hz();
    let mut worker = Worker {
        shared,
        decoder: AudioDecoder::new(track, line, rate_hz),
        ring,
        epoch: 0,
        line: Continuity::new(0, rate_hz, 1.0),
        speed: 1.0,
    };
    loop {
        match shared.audio_packets.pop() {
            Popped::Item(epoch, packet) => {
                if worker.follow(epoch) {
                    worker.feed(Some(&packet));
                }
            }
            Popped::End(epoch) => {
                if worker.follow(epoch) {
                    worker.feed(None);
                    shared.sound.end_epoch(epoch);
                    shared.conductor_wake.notify();
                }
            }
            Popped::Closed => return,
        }
    }
}

fn wait_for(flag: &AtomicBool, shared: &Shared) -> bool {
    while !flag.load(Ordering::SeqCst) {
        if shared.is_closing() {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}

impl Worker<'_> {
    fn follow(&mut self, epoch: u32) -> bool {
        if epoch == self.epoch {
            return true;
        }
        let Some(target_us) = self.shared.target_of(epoch) else { return false };
        let rate_hz = self.shared.sound.rate_hz();
        self.decoder.flush();
        self.decoder.set_output_rate(rate_hz);
        self.epoch = epoch;
        self.line = Continuity::new(target_us, rate_hz, self.speed);
        true
    }

    fn feed(&mut self, packet: Option<&ffmpeg_next::Packet>) {
        if let Err(error) = self.decoder.send(packet) {
            tracing::debug!(%error, "an audio packet is skipped");
        }
        let mut errors = 0;
        loop {
            match self.decoder.receive() {
                Ok(Some(samples)) => {
                    if !self.play(samples) {
                        return;
                    }
                }
                Ok(None) | Err(MediaError::Eof) => return,
                Err(error) => {
                    errors += 1;
                    tracing::debug!(%error, "sound is skipped");
                    if errors > 16 {
                        return;
                    }
                }
            }
        }
    }

    /// `false` once the epoch is over.
    fn play(&mut self, samples: Samples) -> bool {
        let speed = self.shared.sound.speed();
        if speed != self.speed {
            self.speed = speed;
            self.line.set_speed(self.shared.sound.rate_hz(), speed);
            self.decoder.set_speed(speed);
        }
        let placed = self.line.place(samples.pts_us, samples.frames.len());
        let silence = std::iter::repeat_n((0.0, 0.0), placed.silence);
        let sound = samples.frames.into_iter().skip(placed.skip);
        let mut frames = silence.chain(sound);
        let us_per_frame = 1e6 * f64::from(self.speed) / f64::from(self.shared.sound.rate_hz());
        let mut played = 0_usize;
        loop {
            let pts_us = placed.pts_us + (played as f64 * us_per_frame) as i64;
            let mut block = Block {
                epoch: self.epoch,
                pts_us,
                speed: self.speed,
                len: 0,
                frames: [Frame::ZERO; BLOCK_FRAMES],
            };
            for (slot, (left, right)) in block.frames.iter_mut().zip(frames.by_ref()) {
                *slot = Frame { left, right };
                block.len += 1;
            }
            if block.len == 0 {
                return true;
            }
            played += block.len;
            if !self.push(block) {
                return false;
            }
        }
    }

    fn push(&mut self, block: Block) -> bool {
        let poll = if self.shared.time.is_virtual() { RING_POLL_VIRTUAL } else { RING_POLL };
        self.shared.sound.count_queued(block.len);
        let len = block.len;
        let mut waiting = block;
        loop {
            if self.shared.is_closing() || self.shared.target_of(self.epoch).is_none() {
                self.shared.sound.uncount_queued(len);
                return false;
            }
            match self.ring.push(waiting) {
                Ok(()) => return true,
                Err(rtrb::PushError::Full(back)) => waiting = back,
            }
            thread::sleep(poll);
        }
    }
}
