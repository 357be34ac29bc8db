//! A person's player: starts with two seconds buffered, resumes with one, reads so far ahead and no further.
//!
//! It knows the media as a constant rate. Driven by events, not by frames: it says when it looks again.

use shared::limits::LEAF_BYTES;

/// Buffered media with which playback starts, and with which it resumes.
const START_MS: u64 = 2_000;
const RESUME_MS: u64 = 1_000;
/// A player that may read on looks again after this long.
const READ_STEP_US: u64 = 200_000;

/// How playback went.
#[derive(Debug, Clone, Default)]
pub(super) struct Played {
    pub(super) start_us: Option<u64>,
    pub(super) stalled_us: u64,
    pub(super) stalls: u32,
    pub(super) seeks_us: Vec<u64>,
    pub(super) is_finished: bool,
    /// Time spent playing.
    pub(super) playing_us: u64,
}

/// One player.
#[derive(Debug)]
pub(super) struct Player {
    rate_bps: u64,
    media_us: u64,
    reads_ahead_us: u64,
    opened_us: u64,
    /// Media time of the playhead at `since_us`.
    at_us: u64,
    since_us: u64,
    is_playing: bool,
    /// Since when it waits without having been asked to.
    stalled_since_us: Option<u64>,
    sought_us: Option<u64>,
    pub(super) played: Played,
}

/// What the player wants of its node now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    /// Where its reads have come to.
    pub(super) position: u64,
    /// Whether it waits for the byte there.
    pub(super) is_blocked: bool,
    /// When it looks again; never if it is finished or waits for bytes.
    pub(super) again_us: Option<u64>,
}

impl Player {
    pub(super) fn new(now_us: u64, rate_bps: u64, media_us: u64, reads_ahead_us: u64) -> Self {
        Self {
            rate_bps,
            media_us,
            reads_ahead_us,
            opened_us: now_us,
            at_us: 0,
            since_us: now_us,
            is_playing: false,
            stalled_since_us: None,
            sought_us: None,
            played: Played::default(),
        }
    }

    /// Time spent playing until now.
    pub(super) fn played_us(&self, now_us: u64) -> u64 {
        self.played.playing_us + self.playhead_us(now_us) - self.at_us
    }

    /// Whether it would play if it had more.
    pub(super) const fn waits(&self) -> bool {
        !self.is_playing && !self.played.is_finished
    }

    /// The byte at the playhead.
    pub(super) fn byte(&self, now_us: u64) -> u64 {
        self.byte_at(self.playhead_us(now_us))
    }

    /// Jumps.
    pub(super) fn seek(&mut self, now_us: u64, to_us: u64) {
        self.end_stall(now_us);
        self.played.playing_us += self.playhead_us(now_us) - self.at_us;
        self.at_us = to_us.min(self.media_us);
        self.since_us = now_us;
        self.is_playing = false;
        // A jump during a start is the start of something else.
        if self.played.start_us.is_none() {
            self.played.start_us = Some(now_us - self.opened_us);
        }
        self.sought_us = Some(now_us);
    }

    /// Looks at what is there: `frontier_byte` is the first byte missing from the playhead on.
    pub(super) fn look(&mut self, now_us: u64, frontier_byte: u64) -> Reading {
        let frontier_us = self.us_at(frontier_byte);
        if self.is_playing {
            let reached_us = self.at_us + (now_us - self.since_us);
            let before_us = self.at_us;
            self.at_us = reached_us.min(frontier_us).min(self.media_us).max(before_us);
            self.played.playing_us += self.at_us - before_us;
            self.since_us = now_us;
            if self.at_us >= self.media_us {
                self.played.is_finished = true;
                self.is_playing = false;
            } else if reached_us >= frontier_us {
                self.is_playing = false;
                self.played.stalls += 1;
                self.stalled_since_us = Some(now_us);
            }
        }
        if !self.is_playing && !self.played.is_finished {
            let needs_us = 1_000 * if self.played.start_us.is_none() { START_MS } else { RESUME_MS };
            if frontier_us >= (self.at_us + needs_us).min(self.media_us) {
                self.play(now_us);
            }
        }
        self.reading(now_us, frontier_byte, frontier_us)
    }

    fn play(&mut self, now_us: u64) {
        self.is_playing = true;
        self.since_us = now_us;
        self.end_stall(now_us);
        if let Some(sought_us) = self.sought_us.take() {
            self.played.seeks_us.push(now_us - sought_us);
        }
        self.played.start_us.get_or_insert(now_us - self.opened_us);
    }

    fn end_stall(&mut self, now_us: u64) {
        if let Some(since_us) = self.stalled_since_us.take() {
            self.played.stalled_us += now_us - since_us;
        }
    }

    /// Waiting that has not ended yet is waiting all the same.
    pub(super) fn close(&mut self, now_us: u64) {
        self.end_stall(now_us);
        if let Some(sought_us) = self.sought_us.take() {
            self.played.seeks_us.push(now_us - sought_us);
        }
        // Who never began has waited until now.
        self.played.start_us.get_or_insert(now_us - self.opened_us);
    }

    fn reading(&self, now_us: u64, frontier_byte: u64, frontier_us: u64) -> Reading {
        let end_byte = self.byte_at(self.media_us);
        let reads_to = self.byte_at((self.at_us + self.reads_ahead_us).min(self.media_us));
        let position = reads_to.min(frontier_byte);
        let is_blocked = frontier_byte < reads_to;
        let dry_us = self.is_playing.then(|| now_us + frontier_us.min(self.media_us) - self.at_us);
        let reads_on = self.is_playing && !is_blocked && position < end_byte;
        let again_us = dry_us.map(|at_us| if reads_on { at_us.min(now_us + READ_STEP_US) } else { at_us });
        Reading { position, is_blocked, again_us }
    }

    fn playhead_us(&self, now_us: u64) -> u64 {
        let since_us = if self.is_playing { now_us - self.since_us } else { 0 };
        (self.at_us + since_us).min(self.media_us)
    }

    fn byte_at(&self, media_us: u64) -> u64 {
        (u128::from(media_us) * u128::from(self.rate_bps) / 8_000_000) as u64
    }

    fn us_at(&self, byte: u64) -> u64 {
        let us = u128::from(byte) * 8_000_000 / u128::from(self.rate_bps);
        if byte >= self.byte_at(self.media_us) { self.media_us } else { us as u64 }
    }
}

/// Media of a rate and length fills so many bytes: whole leaves but for the last.
pub(super) const fn size_bytes(rate_bps: u64, media_us: u64) -> u64 {
    let bytes = (rate_bps as u128 * media_us as u128 / 8_000_000) as u64;
    if bytes < LEAF_BYTES { LEAF_BYTES } else { bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewer_that_never_begins_has_waited_until_the_end() {
        let mut player = Player::new(1_000_000, 1_000_000, 60_000_000, 30_000_000);
        player.look(2_000_000, 0);
        player.close(61_000_000);
        assert_eq!(player.played.start_us, Some(60_000_000));
        player.close(99_000_000);
        assert_eq!(player.played.start_us, Some(60_000_000));
    }
}
