//! Our kira `Sound`: PCM from a ring, flushed by epoch, and the source of the master clock.
//!
//! Invariants: the rendering side takes no lock that anybody holds for long (only `try_lock`), allocates nothing and
//! never blocks; a block of another epoch is never heard; when sound has ended the clock runs on in silence, so that a
//! longer picture plays to its end, and a file without sound has a clock at all.

use std::sync::{
    Arc, Mutex, TryLockError,
    atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering},
};

use kira::{
    Frame,
    info::Info,
    sound::{Sound, SoundData},
};
use rtrb::Consumer;

use super::clock::{Anchor, MediaClock};

/// Frames per block.
pub(crate) const BLOCK_FRAMES: usize = 256;
/// Blocks in the ring: 16,384 frames, a third of a second at 48 kHz.
pub(crate) const RING_BLOCKS: usize = 64;
/// Length of the fade at every start and stop, in frames.
const FADE_FRAMES: f32 = 240.0;
/// No epoch has this number.
const NO_EPOCH: u32 = 0;

/// A stretch of sound that belongs to one epoch.
pub(crate) struct Block {
    pub(crate) epoch: u32,
    pub(crate) pts_us: i64,
    pub(crate) speed: f32,
    pub(crate) len: usize,
    pub(crate) frames: [Frame; BLOCK_FRAMES],
}

/// What the player and the sound thread tell each other.
#[derive(Debug)]
pub(crate) struct SoundShared {
    pub(crate) clock: MediaClock,
    epoch: AtomicU32,
    start_us: AtomicI64,
    running: AtomicBool,
    ended_epoch: AtomicU32,
    speed_bits: AtomicU32,
    queued_frames: AtomicI64,
    underruns: AtomicU64,
    callback_at_us: AtomicI64,
    latency_us: AtomicI64,
    rate_hz: AtomicU32,
}

impl SoundShared {
    pub(crate) fn new() -> Self {
        Self {
            clock: MediaClock::new(),
            epoch: AtomicU32::new(NO_EPOCH),
            start_us: AtomicI64::new(0),
            running: AtomicBool::new(false),
            ended_epoch: AtomicU32::new(NO_EPOCH),
            speed_bits: AtomicU32::new(1.0_f32.to_bits()),
            queued_frames: AtomicI64::new(0),
            underruns: AtomicU64::new(0),
            callback_at_us: AtomicI64::new(0),
            latency_us: AtomicI64::new(0),
            rate_hz: AtomicU32::new(super::VIRTUAL_RATE_HZ),
        }
    }

    /// Everything queued so far is stale; the clock stands at `start_us`.
    pub(crate) fn begin_epoch(&self, epoch: u32, start_us: i64) {
        self.running.store(false, Ordering::SeqCst);
        self.start_us.store(start_us, Ordering::SeqCst);
        self.epoch.store(epoch, Ordering::SeqCst);
        self.clock.stand(epoch, start_us);
    }

    /// Nothing more comes in this epoch.
    pub(crate) fn end_epoch(&self, epoch: u32) {
        self.ended_epoch.store(epoch, Ordering::SeqCst);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended_epoch.load(Ordering::SeqCst) == self.epoch.load(Ordering::SeqCst)
    }

    pub(crate) fn set_running(&self, running: bool) {
        self.running.store(running, Ordering::SeqCst);
    }

    pub(crate) fn set_speed(&self, speed: f32) {
        self.speed_bits.store(speed.to_bits(), Ordering::SeqCst);
    }

    pub(crate) fn speed(&self) -> f32 {
        f32::from_bits(self.speed_bits.load(Ordering::SeqCst))
    }

    pub(crate) fn queued_frames(&self) -> i64 {
        self.queued_frames.load(Ordering::SeqCst).max(0)
    }

    /// Called by the producer, before the block is visible.
    pub(crate) fn count_queued(&self, frames: usize) {
        self.queued_frames.fetch_add(frames as i64, Ordering::SeqCst);
    }

    /// Takes back [`Self::count_queued`] for a block that was never pushed.
    pub(crate) fn uncount_queued(&self, frames: usize) {
        self.queued_frames.fetch_sub(frames as i64, Ordering::SeqCst);
    }

    pub(crate) fn underruns(&self) -> u64 {
        self.underruns.load(Ordering::SeqCst)
    }

    pub(crate) fn rate_hz(&self) -> u32 {
        self.rate_hz.load(Ordering::SeqCst).max(1)
    }

    pub(crate) fn set_rate_hz(&self, rate_hz: u32) {
        self.rate_hz.store(rate_hz.max(1), Ordering::SeqCst);
    }

    /// Called by a backend before it renders: what follows is heard `latency_us` after `at_us`.
    pub(crate) fn begin_callback(&self, at_us: i64, latency_us: i64) {
        self.callback_at_us.store(at_us, Ordering::SeqCst);
        self.latency_us.store(latency_us, Ordering::SeqCst);
    }
}

impl SoundShared {
    pub(crate) fn last_callback_us(&self) -> i64 {
        self.callback_at_us.load(Ordering::SeqCst)
    }
}

/// The reading end of the ring. It outlives the backend that drives it, so that a lost device loses no sound.
pub(crate) struct PcmCore {
    rx: Consumer<Block>,
    current: Option<(Block, usize)>,
    epoch: u32,
    /// Media time of the next frame.
    position_us: f64,
    floor_us: i64,
    gain: f32,
    starved: bool,
    was_running: bool,
    /// When the present silence is first heard.
    silent_since_us: Option<i64>,
}

impl PcmCore {
    pub(crate) fn new(rx: Consumer<Block>) -> Self {
        Self {
            rx,
            current: None,
            epoch: NO_EPOCH,
            position_us: 0.0,
            floor_us: 0,
            gain: 0.0,
            starved: false,
            was_running: false,
            silent_since_us: None,
        }
    }

    /// Fills `out`, the frames heard from `heard_at_us` on, and publishes the clock.
    fn render(&mut self, out: &mut [Frame], heard_at_us: i64, shared: &SoundShared) {
        self.follow_epoch(shared);
        let running = shared.running.load(Ordering::SeqCst);
        let silent_clock = shared.has_ended();
        let mut speed = shared.speed();
        if running && !self.was_running {
            self.floor_us = self.position_us as i64;
        }
        self.was_running = running;
        let mut first_us = self.position_us;
        let mut rendered = 0;
        for slot in out.iter_mut() {
            if !running && self.gain <= 0.0 {
                break;
            }
            let frame = match self.next_frame(shared) {
                Some((frame, at_us, block_speed)) => {
                    if let Some(at_us) = at_us {
                        self.position_us = at_us as f64;
                    }
                    speed = block_speed;
                    frame
                }
                None if silent_clock => Frame::ZERO,
                None => break,
            };
            if rendered == 0 {
                first_us = self.position_us;
            }
            let step = if running { 1.0 } else { -1.0 } / FADE_FRAMES;
            self.gain = (self.gain + step).clamp(0.0, 1.0);
            *slot = frame * self.gain;
            self.position_us += f64::from(speed) * 1e6 / f64::from(shared.rate_hz());
            rendered += 1;
        }
        out[rendered..].fill(Frame::ZERO);
        let starved = running && rendered < out.len();
        if starved && !self.starved {
            shared.underruns.fetch_add(1, Ordering::SeqCst);
        }
        if starved {
            self.gain = 0.0;
        }
        self.starved = starved;
        // What stands still stands since the first silent chunk; what was rendered before is still to be heard.
        let at_us = if rendered > 0 { heard_at_us } else { self.silent_since_us.unwrap_or(heard_at_us) };
        self.silent_since_us = (rendered == 0).then_some(at_us);
        shared.clock.publish(Anchor {
            epoch: self.epoch,
            pts_us: first_us as i64,
            at_us,
            speed: f64::from(speed),
            limit_us: (self.position_us - first_us) as i64,
            floor_us: self.floor_us,
        });
    }

    /// On a new epoch, forgets the old one and stands where the new one starts.
    fn follow_epoch(&mut self, shared: &SoundShared) {
        let epoch = shared.epoch.load(Ordering::SeqCst);
        if epoch != self.epoch {
            self.epoch = epoch;
            self.position_us = shared.start_us.load(Ordering::SeqCst) as f64;
            self.floor_us = self.position_us as i64;
            self.gain = 0.0;
            self.starved = true;
            self.silent_since_us = None;
            if let Some((block, at)) = self.current.take() {
                shared.queued_frames.fetch_sub((block.len - at) as i64, Ordering::SeqCst);
            }
        }
        while self.current.is_none() && self.rx.peek().is_ok_and(|block| block.epoch != epoch) {
            if let Ok(stale) = self.rx.pop() {
                shared.queued_frames.fetch_sub(stale.len as i64, Ordering::SeqCst);
            }
        }
    }

    /// The next frame, the media time it starts if it is the first of a block, and its block's speed.
    fn next_frame(&mut self, shared: &SoundShared) -> Option<(Frame, Option<i64>, f32)> {
        loop {
            if let Some((block, at)) = self.current.as_mut()
                && let Some(frame) = block.frames.get(*at).filter(|_| *at < block.len)
            {
                let starts = (*at == 0).then_some(block.pts_us);
                let out = (*frame, starts, block.speed);
                *at += 1;
                shared.queued_frames.fetch_sub(1, Ordering::SeqCst);
                return Some(out);
            }
            self.current = None;
            if self.rx.peek().is_ok_and(|block| block.epoch != self.epoch) {
                return None;
            }
            self.current = self.rx.pop().ok().map(|block| (block, 0));
            self.current.as_ref()?;
        }
    }
}

/// What kira turns into a playing [`PcmSound`].
pub(crate) struct PcmData {
    pub(crate) core: Arc<Mutex<PcmCore>>,
    pub(crate) shared: Arc<SoundShared>,
}

impl SoundData for PcmData {
    type Error = std::convert::Infallible;
    type Handle = ();

    fn into_sound(self) -> Result<(Box<dyn Sound>, Self::Handle), Self::Error> {
        Ok((Box::new(PcmSound { core: self.core, shared: self.shared, frames_in_callback: 0 }), ()))
    }
}

struct PcmSound {
    core: Arc<Mutex<PcmCore>>,
    shared: Arc<SoundShared>,
    /// kira renders a callback in chunks; this is how far into it the next chunk lies.
    frames_in_callback: i64,
}

impl Sound for PcmSound {
    fn on_start_processing(&mut self) {
        self.frames_in_callback = 0;
    }

    fn process(&mut self, out: &mut [Frame], _dt: f64, _info: &Info<'_>) {
        let into_us = self.frames_in_callback * 1_000_000 / i64::from(self.shared.rate_hz());
        let heard_at_us = self.shared.callback_at_us.load(Ordering::SeqCst)
            + self.shared.latency_us.load(Ordering::SeqCst)
            + into_us;
        self.frames_in_callback += out.len() as i64;
        match self.core.try_lock() {
            Ok(mut core) => core.render(out, heard_at_us, &self.shared),
            Err(TryLockError::Poisoned(poisoned)) => {
                poisoned.into_inner().render(out, heard_at_us, &self.shared)
            }
            // Another output is just being taken down.
            Err(TryLockError::WouldBlock) => out.fill(Frame::ZERO),
        }
    }

    fn finished(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use rtrb::{Producer, RingBuffer};

    use super::*;

    const CHUNK_US: i64 = 128 * 1_000_000 / 48_000;

    #[test]
    fn a_new_epoch_silences_what_was_queued_at_once() {
        let (mut tx, mut core, shared) = rig();
        shared.begin_epoch(1, 0);
        shared.set_running(true);
        push(&mut tx, &shared, 1, 0, 0.5);
        push(&mut tx, &shared, 1, 5_333, 0.5);
        let mut out = [Frame::ZERO; 128];
        core.render(&mut out, 0, &shared);
        assert!(out[127].left > 0.2);
        shared.begin_epoch(2, 9_000_000);
        shared.set_running(true);
        core.render(&mut out, CHUNK_US, &shared);
        assert!(out.iter().all(|frame| frame.left == 0.0));
        assert_eq!(shared.queued_frames(), 0);
        assert_eq!(shared.clock.position_us(CHUNK_US), 9_000_000);
        assert_eq!(shared.underruns(), 0, "waiting for the first sound of an epoch is no underrun");
    }

    #[test]
    fn the_clock_follows_what_is_heard_including_latency() {
        let (mut tx, mut core, shared) = rig();
        shared.begin_epoch(1, 2_000_000);
        shared.set_running(true);
        push(&mut tx, &shared, 1, 2_000_000, 0.5);
        let mut out = [Frame::ZERO; 128];
        core.render(&mut out, 40_000, &shared);
        assert_eq!(shared.clock.position_us(0), 2_000_000);
        assert_eq!(shared.clock.position_us(41_000), 2_001_000);
        assert_eq!(shared.clock.position_us(90_000), 2_000_000 + CHUNK_US);
    }

    #[test]
    fn running_dry_freezes_the_clock_and_is_counted_once() {
        let (mut tx, mut core, shared) = rig();
        shared.begin_epoch(1, 0);
        shared.set_running(true);
        push(&mut tx, &shared, 1, 0, 0.5);
        let mut out = [Frame::ZERO; 128];
        for chunk in 0..6 {
            core.render(&mut out, chunk * CHUNK_US, &shared);
        }
        assert_eq!(shared.underruns(), 1);
        let frozen = shared.clock.position_us(10_000_000);
        assert!((frozen - 5_333).abs() < 10, "{frozen}");
    }

    #[test]
    fn after_the_last_sound_the_clock_runs_on_in_silence() {
        let (_tx, mut core, shared) = rig();
        shared.begin_epoch(1, 0);
        shared.end_epoch(1);
        shared.set_running(true);
        let mut out = [Frame::ZERO; 128];
        for chunk in 0..75 {
            core.render(&mut out, chunk * CHUNK_US, &shared);
        }
        let position = shared.clock.position_us(75 * CHUNK_US);
        assert!((position - 200_000).abs() < 1_000, "{position}");
        assert_eq!(shared.underruns(), 0);
    }

    #[test]
    fn pausing_fades_out_and_holds_the_rest() {
        let (mut tx, mut core, shared) = rig();
        shared.begin_epoch(1, 0);
        shared.set_running(true);
        for block in 0..4 {
            push(&mut tx, &shared, 1, block * 5_333, 0.5);
        }
        let mut out = [Frame::ZERO; 256];
        core.render(&mut out, 0, &shared);
        shared.set_running(false);
        core.render(&mut out, 5_333, &shared);
        assert!(out[0].left > 0.4 && out[250].left == 0.0);
        let held = shared.queued_frames();
        core.render(&mut out, 10_666, &shared);
        assert_eq!(shared.queued_frames(), held);
        assert!(out.iter().all(|frame| frame.left == 0.0));
    }

    #[test]
    fn a_paused_clock_reaches_what_was_rendered_and_stays_there() {
        let (mut tx, mut core, shared) = rig();
        shared.begin_epoch(1, 0);
        shared.set_running(true);
        for block in 0..8 {
            push(&mut tx, &shared, 1, block * 5_333, 0.5);
        }
        let mut out = [Frame::ZERO; 128];
        let latency_us = 40_000;
        for chunk in 0..4 {
            core.render(&mut out, chunk * CHUNK_US + latency_us, &shared);
        }
        shared.set_running(false);
        for chunk in 4..40 {
            core.render(&mut out, chunk * CHUNK_US + latency_us, &shared);
        }
        let settled = shared.clock.position_us(40 * CHUNK_US);
        // Four chunks and the fade of 240 frames.
        assert!((settled - (4 * 128 + 240) * 1_000_000 / 48_000).abs() < 100, "{settled}");
        core.render(&mut out, 41 * CHUNK_US + latency_us, &shared);
        assert_eq!(shared.clock.position_us(41 * CHUNK_US), settled);
    }

    fn rig() -> (Producer<Block>, PcmCore, SoundShared) {
        let (tx, rx) = RingBuffer::new(RING_BLOCKS);
        (tx, PcmCore::new(rx), SoundShared::new())
    }

    fn push(tx: &mut Producer<Block>, shared: &SoundShared, epoch: u32, pts_us: i64, level: f32) {
        shared.count_queued(BLOCK_FRAMES);
        let frames = [Frame::from_mono(level); BLOCK_FRAMES];
        assert!(tx.push(Block { epoch, pts_us, speed: 1.0, len: BLOCK_FRAMES, frames }).is_ok());
    }
}
