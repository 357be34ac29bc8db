//! The player's state as the views see it: the player's own snapshot, and what stands in for it before there is a player.
//!
//! Decides nothing.

use media::{PlayerSnapshot, PlayerState};

/// What is known before the player has said anything.
pub fn before_opening(duration_ms: u64) -> PlayerSnapshot {
    PlayerSnapshot {
        state: PlayerState::Opening,
        position_ms: 0,
        duration_ms,
        buffered_ahead_ms: 0,
        waiting_at_byte: None,
        has_video: false,
        has_audio: false,
        width: 0,
        height: 0,
        volume: 1.0,
        muted: false,
        speed: 1.0,
        output: String::new(),
        frames_shown: 0,
        frames_dropped: 0,
        audio_underruns: 0,
        av_offset_ms: 0,
        stalls: 0,
        stalled_ms: 0,
        error: None,
    }
}
