//! The conductor: lets the clock run or holds it, and shows each frame when the clock reaches it.
//!
//! Invariants: it alone publishes frames; the frame at a seek's target is shown as soon as it is decoded, playing or
//! paused; in virtual time it moves time on only when everything due has been shown and the next step is decoded.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use super::{
    FrameTap, OutputChoice,
    buffering::{Buffering, Phase},
    log::FrameLog,
    schedule::{Verdict, judge},
    shared::Shared,
};
use crate::{
    frame::VideoFrame,
    output::{Output, sound::PcmCore},
};

/// The longest sleep while playing: the buffering decision is made at least this often.
const TICK: Duration = Duration::from_millis(10);
const TICK_IDLE: Duration = Duration::from_millis(40);
/// Between two frames that are caught up, so that both are seen.
const CATCH_UP_GAP: Duration = Duration::from_millis(4);
const NO_FRAME_US: i64 = i64::MIN;

/// What the conductor is given to work with.
pub(crate) struct Parts {
    pub(crate) shared: Arc<Shared>,
    pub(crate) core: Arc<Mutex<PcmCore>>,
    pub(crate) current: Arc<Mutex<Option<Arc<VideoFrame>>>>,
    pub(crate) output: OutputChoice,
    pub(crate) on_frame: Option<Arc<dyn Fn() + Send + Sync>>,
    pub(crate) frame_tap: Option<FrameTap>,
    pub(crate) log: FrameLog,
}

pub(crate) struct Conductor {
    parts: Parts,
    output: Option<Output>,
    volume: (f32, bool),
    buffering: Buffering,
    epoch: u32,
    first_shown: bool,
    last_end_us: i64,
    next_id: u64,
    late_drops: u64,
}

impl Conductor {
    pub(crate) fn new(parts: Parts) -> Self {
        let now_us = parts.shared.time.now_us();
        Self {
            parts,
            output: None,
            volume: (-1.0, false),
            buffering: Buffering::new(now_us),
            epoch: 0,
            first_shown: false,
            last_end_us: NO_FRAME_US,
            next_id: 1,
            late_drops: 0,
        }
    }

    /// The thread's whole life.
    pub(crate) fn run(mut self) {
        while !self.parts.shared.is_closing() {
            let seen = self.parts.shared.conductor_wake.count();
            let sleep = self.tick();
            if !sleep.is_zero() {
                self.parts.shared.conductor_wake.wait(seen, sleep);
            }
        }
    }

    /// Does all that is due and says how long nothing will be.
    fn tick(&mut self) -> Duration {
        let shared = Arc::clone(&self.parts.shared);
        let (playing, epoch, seeking, volume) = {
            let control = shared.control();
            let volume = (control.volume, control.muted);
            (control.playing, control.epoch, control.pending_seek_us.is_some(), volume)
        };
        if epoch == 0 {
            // Not opened yet, or it never will be.
            return TICK_IDLE;
        }
        self.keep_output(&shared);
        self.apply_volume(volume);
        let now_us = shared.time.now_us();
        if epoch != self.epoch {
            self.epoch = epoch;
            self.first_shown = false;
            self.last_end_us = NO_FRAME_US;
            self.buffering.restart(now_us);
        }
        let position_us = shared.sound.clock.position_us(now_us);
        let levels = shared.levels(position_us);
        let phase = if seeking { Phase::Filling } else { self.buffering.update(now_us, &levels) };
        if !seeking && self.buffering.needs_kick(now_us, &levels) && playing {
            tracing::warn!(position_us, "nothing plays although the bytes are there: starting afresh");
            shared.request_seek(position_us);
        }
        let ended = self.has_ended(&shared, position_us) && phase == Phase::Ready;
        let running = playing && phase == Phase::Ready && !ended;
        // A paused player shows the frame it stands on, and needs no full buffer for that.
        let next = if seeking { TICK } else { self.present(&shared, running) };
        let running = running && self.is_landed(&shared);
        shared.sound.set_running(running);
        self.publish(&shared, now_us, phase, ended);
        let stepped = self.step(&shared, running);
        if stepped {
            Duration::ZERO
        } else if shared.time.is_virtual() {
            Duration::from_millis(1)
        } else if running || phase == Phase::Filling {
            next.min(TICK)
        } else {
            TICK_IDLE
        }
    }

    /// Opens the output when the tracks are known, and another one when it is lost.
    fn keep_output(&mut self, shared: &Arc<Shared>) {
        let now_us = shared.time.now_us();
        let lost = self.output.as_ref().is_some_and(|output| output.is_lost(&shared.sound, now_us));
        if lost {
            tracing::warn!("the sound device is gone: opening another output");
        }
        if self.output.is_some() && !lost {
            return;
        }
        let before_hz = shared.sound.rate_hz();
        drop(self.output.take());
        let has_audio = shared.facts().has_audio;
        let output =
            Output::open(&self.parts.output, has_audio, &self.parts.core, &shared.sound, &shared.time);
        shared.facts().output = output.name();
        self.volume = (-1.0, false);
        let changed = lost && output.rate_hz() != before_hz;
        self.output = Some(output);
        shared.output_ready.store(true, Ordering::SeqCst);
        if changed {
            // What is queued was made for another rate.
            shared.request_seek(shared.sound.clock.position_us(shared.time.now_us()));
        }
    }

    fn apply_volume(&mut self, volume: (f32, bool)) {
        if volume != self.volume
            && let Some(output) = &mut self.output
        {
            output.set_volume(volume.0, volume.1);
            self.volume = volume;
        }
    }

    /// Shows every frame that is due; how long until the next one.
    fn present(&mut self, shared: &Shared, running: bool) -> Duration {
        loop {
            let now_us = shared.time.now_us();
            let position_us = shared.sound.clock.position_us(now_us);
            let (Some(head_us), next_us) = shared.frames.peek(self.epoch, |frame| frame.pts_us) else {
                return TICK;
            };
            if self.first_shown && !running {
                return TICK;
            }
            let verdict = if self.first_shown { judge(position_us, head_us, next_us) } else { Verdict::Show };
            match verdict {
                Verdict::Wait(media_us) => {
                    let speed = f64::from(shared.sound.speed()).max(0.1);
                    return Duration::from_micros((media_us as f64 / speed) as u64);
                }
                Verdict::Drop => {
                    if let Some(frame) = shared.frames.try_pop(self.epoch) {
                        self.last_end_us = frame.end_us;
                        self.late_drops += 1;
                        tracing::debug!(pts_us = frame.pts_us, position_us, "a frame came too late");
                    }
                }
                Verdict::Show => {
                    let Some(frame) = shared.frames.try_pop(self.epoch) else { return TICK };
                    self.show(shared, frame.pts_us, frame.end_us, frame.frame, now_us, position_us);
                    if !shared.time.is_virtual() {
                        return CATCH_UP_GAP;
                    }
                }
            }
        }
    }

    fn show(
        &mut self,
        shared: &Shared,
        pts_us: i64,
        end_us: i64,
        mut frame: VideoFrame,
        now_us: i64,
        clock_us: i64,
    ) {
        frame.id = self.next_id;
        self.next_id += 1;
        self.last_end_us = end_us;
        tracing::trace!(id = frame.id, pts_us, clock_us, "frame");
        let frame = Arc::new(frame);
        *self.parts.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&frame));
        self.parts.log.note(pts_us, now_us, clock_us);
        // Whoever sees it counted finds it tapped.
        if let Some(tap) = &self.parts.frame_tap {
            tap(&frame);
        }
        {
            let mut facts = shared.facts();
            facts.frames_shown += 1;
            if self.first_shown {
                facts.av_offset_us += (clock_us - pts_us - facts.av_offset_us) / 8;
            }
            facts.landed = true;
            (facts.width, facts.height) = (frame.width, frame.height);
        }
        self.first_shown = true;
        if let Some(wake) = &self.parts.on_frame {
            wake();
        }
    }

    /// The first picture after a seek is on screen, or there is none to wait for.
    fn is_landed(&self, shared: &Shared) -> bool {
        self.first_shown || !shared.facts().has_video || shared.frames.fill().ended
    }

    fn has_ended(&self, shared: &Shared, position_us: i64) -> bool {
        let (has_video, has_audio) = {
            let facts = shared.facts();
            (facts.has_video, facts.has_audio)
        };
        let frames = shared.frames.fill();
        let video_done = !has_video || (frames.ended && frames.items == 0 && position_us >= self.last_end_us);
        let audio_done = !has_audio || (shared.sound.has_ended() && shared.sound.queued_frames() == 0);
        video_done && audio_done
    }

    fn publish(&mut self, shared: &Shared, now_us: i64, phase: Phase, ended: bool) {
        let drops = self.late_drops + shared.decoder_drops.load(Ordering::SeqCst);
        let landed = self.is_landed(shared) && (phase == Phase::Ready || self.first_shown);
        let mut facts = shared.facts();
        if shared.control().epoch != self.epoch {
            return;
        }
        facts.phase = phase;
        facts.landed = landed;
        facts.ended = ended;
        facts.stalls = self.buffering.stalls();
        facts.stalled_us = self.buffering.stalled_us(now_us);
        facts.frames_dropped = drops;
    }

    /// In virtual time, renders the next few milliseconds if they are all there; `true` if time has moved.
    fn step(&mut self, shared: &Shared, running: bool) -> bool {
        if !shared.time.is_virtual() {
            return false;
        }
        let Some(output) = &mut self.output else { return false };
        let audio_there = shared.sound.has_ended() || shared.sound.queued_frames() >= 1024;
        let frames = shared.frames.fill();
        let video_there = !shared.facts().has_video || frames.items > 0 || frames.ended;
        let advance = running && audio_there && video_there;
        if advance || !running {
            output.step(&shared.sound, &shared.time, advance);
        }
        advance
    }
}
