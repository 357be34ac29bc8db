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

use super::{continuity::Continuity, queue::Popped, shared::Shared, stretch::Stretch};
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
    stretch: Stretch,
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
        line: Continuity::new(0, rate_hz),
        stretch: Stretch::new(rate_hz),
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
                    worker.finish_stretch();
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
        self.line = Continuity::new(target_us, rate_hz);
        self.stretch = Stretch::new(rate_hz);
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
        let placed = self.line.place(samples.pts_us, samples.frames.len());
        let silence = std::iter::repeat_n((0.0, 0.0), placed.silence);
        let frames: Vec<(f32, f32)> = silence.chain(samples.frames.into_iter().skip(placed.skip)).collect();
        let speed = self.shared.sound.speed();
        if speed == 1.0 {
            self.finish_stretch() && self.queue(&frames, placed.pts_us, 1.0)
        } else {
            self.stretch.set_speed(speed);
            let stretched = self.stretch.process(&frames, placed.pts_us);
            self.queue(&stretched.frames, stretched.pts_us, speed)
        }
    }

    /// Plays what the stretcher still holds.
    fn finish_stretch(&mut self) -> bool {
        if self.stretch.is_empty() {
            return true;
        }
        let rest = self.stretch.finish();
        self.queue(&rest.frames, rest.pts_us, 1.0)
    }

    fn queue(&mut self, frames: &[(f32, f32)], pts_us: i64, speed: f32) -> bool {
        let us_per_frame = 1e6 * f64::from(speed) / f64::from(self.shared.sound.rate_hz());
        for (index, part) in frames.chunks(BLOCK_FRAMES).enumerate() {
            let into_us = ((index * BLOCK_FRAMES) as f64 * us_per_frame) as i64;
            let mut block = Block {
                epoch: self.epoch,
                pts_us: pts_us + into_us,
                speed,
                len: part.len(),
                frames: [Frame::ZERO; BLOCK_FRAMES],
            };
            for (slot, (left, right)) in block.frames.iter_mut().zip(part) {
                *slot = Frame { left: *left, right: *right };
            }
            if !self.push(block) {
                return false;
            }
        }
        true
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
