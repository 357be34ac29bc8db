//! What the player's threads and its owner share.
//!
//! Invariants: seeks are requested and taken, and closing begun, under one lock together with the reader's cancel switch,
//! so neither a later request nor the closing is ever lost to an earlier request's re-arming; every lock is held for a few instructions only.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

use ffmpeg_next::Packet;

use super::{
    buffering::{Lane, Levels, Phase},
    queue::{Queue, Signal},
};
use crate::{
    frame::VideoFrame,
    output::{clock::TimeSource, sound::SoundShared},
    reader::Gate,
};

/// Media demuxed ahead, per track, after which the demuxer rests.
const MAX_AHEAD_US: i64 = 10_000_000;
/// ... but not before this many packets of each track, for badly interleaved files.
const MIN_PACKETS: usize = 25;
/// Bytes of packets after which it rests in any case.
const MAX_PACKET_BYTES: usize = 48 << 20;

/// A scaled picture waiting for its moment.
pub(crate) struct TimedFrame {
    pub(crate) pts_us: i64,
    pub(crate) end_us: i64,
    pub(crate) frame: VideoFrame,
}

/// What the owner wants.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) playing: bool,
    pub(crate) volume: f32,
    pub(crate) muted: bool,
    pub(crate) speed: f32,
    pub(crate) pending_seek_us: Option<i64>,
    pub(crate) epoch: u32,
    pub(crate) target_us: i64,
    /// Before this, a seek waits instead of interrupting the opening.
    pub(crate) opened: bool,
}

/// What is the case.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) failed: Option<String>,
    pub(crate) has_video: bool,
    pub(crate) has_audio: bool,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) duration_us: i64,
    pub(crate) output: &'static str,
    pub(crate) phase: Phase,
    pub(crate) landed: bool,
    pub(crate) ended: bool,
    pub(crate) stalls: u64,
    pub(crate) stalled_us: i64,
    pub(crate) frames_shown: u64,
    pub(crate) frames_dropped: u64,
    pub(crate) av_offset_us: i64,
}

pub(crate) struct Shared {
    pub(crate) gate: Arc<Gate>,
    pub(crate) time: TimeSource,
    pub(crate) sound: Arc<SoundShared>,
    pub(crate) video_packets: Queue<Packet>,
    pub(crate) audio_packets: Queue<Packet>,
    pub(crate) frames: Queue<TimedFrame>,
    pub(crate) demux_wake: Arc<Signal>,
    pub(crate) conductor_wake: Arc<Signal>,
    /// The output is open, so its sample rate is known.
    pub(crate) output_ready: AtomicBool,
    pub(crate) video_end_us: AtomicI64,
    pub(crate) audio_end_us: AtomicI64,
    /// Dropped by the decoder, before scaling.
    pub(crate) decoder_drops: AtomicU64,
    control: Mutex<Control>,
    facts: Mutex<Facts>,
    closing: AtomicBool,
}

impl Shared {
    pub(crate) fn new(time: TimeSource, control: Control) -> Self {
        let (demux_wake, conductor_wake): (Arc<Signal>, Arc<Signal>) = Default::default();
        Self {
            gate: Arc::new(Gate::new()),
            time,
            sound: Arc::new(SoundShared::new()),
            video_packets: Queue::new(Arc::clone(&demux_wake)),
            audio_packets: Queue::new(Arc::clone(&demux_wake)),
            frames: Queue::new(Arc::clone(&conductor_wake)),
            demux_wake,
            conductor_wake,
            output_ready: AtomicBool::new(false),
            video_end_us: AtomicI64::new(0),
            audio_end_us: AtomicI64::new(0),
            decoder_drops: AtomicU64::new(0),
            control: Mutex::new(control),
            facts: Mutex::new(Facts {
                failed: None,
                has_video: false,
                has_audio: false,
                width: 0,
                height: 0,
                duration_us: 0,
                output: "none",
                phase: Phase::Filling,
                landed: false,
                ended: false,
                stalls: 0,
                stalled_us: 0,
                frames_shown: 0,
                frames_dropped: 0,
                av_offset_us: 0,
            }),
            closing: AtomicBool::new(false),
        }
    }

    pub(crate) fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Releases every thread, for good.
    pub(crate) fn close(&self) {
        let control = self.control();
        self.closing.store(true, Ordering::SeqCst);
        self.gate.cancel();
        drop(control);
        self.video_packets.close();
        self.audio_packets.close();
        self.frames.close();
        self.wake_all();
    }

    pub(crate) fn fail(&self, message: String) {
        tracing::error!(error = message, "playback failed");
        self.facts().failed = Some(message);
        self.wake_all();
    }

    pub(crate) fn wake_all(&self) {
        self.demux_wake.notify();
        self.conductor_wake.notify();
    }

    /// Asks for a seek; the latest request wins.
    pub(crate) fn request_seek(&self, target_us: i64) {
        let mut control = self.control();
        control.pending_seek_us = Some(target_us.max(0));
        if control.opened {
            self.gate.cancel();
        }
        drop(control);
        self.wake_all();
    }

    /// Starts the epoch of the pending seek, or of the file's beginning if `first`.
    pub(crate) fn take_seek(&self, first: bool) -> Option<(u32, i64)> {
        let mut control = self.control();
        control.opened = true;
        let target_us = match control.pending_seek_us.take() {
            Some(target_us) => target_us,
            None if first => 0,
            None => return None,
        };
        if !self.is_closing() {
            self.gate.rearm();
        }
        control.epoch += 1;
        control.target_us = target_us;
        let epoch = control.epoch;
        self.video_end_us.store(target_us, Ordering::SeqCst);
        self.audio_end_us.store(target_us, Ordering::SeqCst);
        self.sound.begin_epoch(epoch, target_us);
        drop(control);
        let has_audio = {
            let mut facts = self.facts();
            facts.ended = false;
            facts.landed = false;
            // Reading may go better from there.
            if !first {
                facts.failed = None;
            }
            facts.has_audio
        };
        self.video_packets.flush(epoch);
        self.audio_packets.flush(epoch);
        self.frames.flush(epoch);
        if !has_audio {
            self.sound.end_epoch(epoch);
        }
        Some((epoch, target_us))
    }

    /// The target of `epoch`, or `None` if it is over.
    pub(crate) fn target_of(&self, epoch: u32) -> Option<i64> {
        let control = self.control();
        (control.epoch == epoch).then_some(control.target_us)
    }

    /// Whether the demuxer is far enough ahead.
    pub(crate) fn is_full(&self) -> bool {
        let (has_video, has_audio) = {
            let facts = self.facts();
            (facts.has_video, facts.has_audio)
        };
        let (video, audio) = (self.video_packets.fill(), self.audio_packets.fill());
        let enough = |present: bool, fill: super::queue::Fill| {
            !present || fill.ended || (fill.duration_us >= MAX_AHEAD_US && fill.items >= MIN_PACKETS)
        };
        video.bytes + audio.bytes >= MAX_PACKET_BYTES
            || (enough(has_video, video) && enough(has_audio, audio))
    }

    /// Everything the buffering decision looks at.
    pub(crate) fn levels(&self, position_us: i64) -> Levels {
        let (has_video, has_audio) = {
            let facts = self.facts();
            (facts.has_video, facts.has_audio)
        };
        let video = has_video.then(|| {
            let (packets, frames) = (self.video_packets.fill(), self.frames.fill());
            Lane {
                primed: frames.items > 0 || frames.ended,
                ahead_us: self.video_end_us.load(Ordering::SeqCst) - position_us,
                dry: frames.items == 0 && packets.items == 0,
                ended: packets.ended,
            }
        });
        let audio = has_audio.then(|| {
            let packets = self.audio_packets.fill();
            let queued = self.sound.queued_frames();
            Lane {
                primed: queued >= i64::from(self.sound.rate_hz() / 10) || self.sound.has_ended(),
                ahead_us: self.audio_end_us.load(Ordering::SeqCst) - position_us,
                dry: queued == 0 && packets.items == 0,
                ended: packets.ended,
            }
        });
        let reader_waits_us = self.gate.blocked().map(|(_, waited)| waited.as_micros() as i64);
        Levels { video, audio, demux_full: self.is_full(), reader_waits_us }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::*;

    #[test]
    fn closing_waits_until_a_seek_is_taken_so_that_its_cancel_stands() {
        let shared = shared();
        let is_begun = Barrier::new(2);
        thread::scope(|scope| {
            // As while a seek is being taken, between its look at `closing` and its re-arming.
            let control = shared.control();
            scope.spawn(|| {
                is_begun.wait();
                shared.close();
            });
            is_begun.wait();
            for _ in 0..10_000 {
                thread::yield_now();
                assert!(!shared.gate.is_cancelled(), "cancelled, and about to be re-armed");
            }
            drop(control);
        });
        assert!(shared.gate.is_cancelled());
        shared.request_seek(1_000_000);
        assert!(shared.take_seek(false).is_some());
        assert!(shared.gate.is_cancelled(), "a seek after the closing re-arms nothing");
    }

    fn shared() -> Shared {
        let control = Control {
            playing: true,
            volume: 1.0,
            muted: false,
            speed: 1.0,
            pending_seek_us: None,
            epoch: 0,
            target_us: 0,
            opened: true,
        };
        Shared::new(TimeSource::stepped(), control)
    }
}
