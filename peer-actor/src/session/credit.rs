//! How much data the other end may send ahead, enough that a round trip never holds it up whatever the link turns out to carry; and what
//! of it has come, so that the other end knows what is still on its way.
//!
//! Invariant: a grant never shrinks, and never runs ahead of what came by more than [`MAX_CREDIT_BYTES`]; what came is given to the link
//! within [`TELL_US`], where it waits for something else to be said no longer than [`Credit::patience`]. Pure.

use std::time::Duration;

use shared::{
    limits::{INITIAL_CREDIT_BYTES, MAX_CREDIT_BYTES},
    wire,
};

/// Beyond round trips, the window covers this much time of the link: what both ends may take to get round to it.
const HANDLING_US: u64 = 50_000;
/// Arrivals are turned into a rate after this much time.
const SAMPLE_US: u64 = 20_000;
/// A sample that took longer has seen idleness.
const STALE_US: u64 = 1_000_000;
/// What came is told at once, but not more often than this; on a slow link that is each chunk.
const TELL_US: u64 = 5_000;
/// So much is told at once in any case: a sender on a fast link has only a few of these on their way.
const TELL_BYTES: u64 = 256 * 1024;

/// What came is told with what is said next, mostly a request for more, unless that takes longer than this part of the time since it was told
/// last: a packet costs several times what it says. At the least that is a tenth of what senders allow for what both ends take to get round to
/// it; at the most it still goes with the kernel's own acknowledgement.
const PATIENT_PART: u64 = 8;
const LEAST_PATIENCE_US: u64 = 5_000;
const MOST_PATIENCE_US: u64 = 35_000;
/// At first a sender has little on its way and learns from each arrival what the link carries.
const YOUNG_BYTES: u64 = 256 * 1024;

/// The receiver's side of the credit of one link.
#[derive(Debug)]
pub(super) struct Credit {
    received_bytes: u64,
    granted_bytes: u64,
    window_bytes: u64,
    since_us: u64,
    sample_bytes: u64,
    told_bytes: u64,
    told_us: u64,
    /// How long before that it was told.
    pause_us: u64,
    /// When the last data came.
    last_us: u64,
}

/// More data came than was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overdrawn;

impl Credit {
    pub(super) const fn new() -> Self {
        Self {
            received_bytes: 0,
            granted_bytes: INITIAL_CREDIT_BYTES,
            window_bytes: INITIAL_CREDIT_BYTES,
            since_us: 0,
            sample_bytes: 0,
            told_bytes: 0,
            told_us: 0,
            pause_us: 0,
            last_us: 0,
        }
    }

    /// What the other end is told when the link opens.
    pub(super) const fn first(&self) -> wire::Credit {
        wire::Credit { granted_bytes: self.granted_bytes, received_bytes: 0, at_ms: 0 }
    }

    /// Data came.
    pub(super) fn received(&mut self, now_us: u64, bytes: u64, rtt_us: u32) -> Result<(), Overdrawn> {
        self.received_bytes += bytes;
        self.last_us = now_us;
        if self.received_bytes > self.granted_bytes {
            return Err(Overdrawn);
        }
        self.measure(now_us, bytes, rtt_us.into());
        Ok(())
    }

    /// When [`Self::poll_news`] has something to tell; none while nothing came.
    pub(super) fn news_at_us(&self) -> Option<u64> {
        match self.received_bytes - self.told_bytes {
            0 => None,
            TELL_BYTES.. => Some(self.told_us),
            _ => Some(self.told_us + TELL_US),
        }
    }

    /// What the other end is to be told now, if anything.
    pub(super) fn poll_news(&mut self, now_us: u64) -> Option<wire::Credit> {
        if self.news_at_us().is_none_or(|at_us| at_us > now_us) {
            return None;
        }
        self.pause_us = now_us.saturating_sub(self.told_us);
        (self.told_bytes, self.told_us) = (self.received_bytes, now_us);
        self.granted_bytes = self.granted_bytes.max(self.received_bytes + self.window_bytes);
        let (granted_bytes, received_bytes) = (self.granted_bytes, self.received_bytes);
        Some(wire::Credit { granted_bytes, received_bytes, at_ms: (self.last_us / 1_000) as u32 })
    }

    /// How long what was polled last may wait for something else to be said: not at all on a link that is young, or so fast that its window has
    /// grown.
    pub(super) fn patience(&self) -> Duration {
        if self.window_bytes > INITIAL_CREDIT_BYTES || self.received_bytes < YOUNG_BYTES {
            return Duration::ZERO;
        }
        Duration::from_micros((self.pause_us / PATIENT_PART).clamp(LEAST_PATIENCE_US, MOST_PATIENCE_US))
    }

    /// The window follows what the link carries in two round trips and the handling: twice what is needed, so that it can turn out to
    /// carry more. It shrinks slowly.
    fn measure(&mut self, now_us: u64, bytes: u64, rtt_us: u64) {
        let took_us = now_us.saturating_sub(self.since_us);
        self.sample_bytes += bytes;
        if took_us < SAMPLE_US {
            return;
        }
        if took_us < STALE_US {
            let worth_bytes = self.sample_bytes.saturating_mul(2 * rtt_us + HANDLING_US) / took_us;
            let faded_bytes = self.window_bytes - self.window_bytes / 16;
            self.window_bytes = worth_bytes.max(faded_bytes).clamp(INITIAL_CREDIT_BYTES, MAX_CREDIT_BYTES);
        }
        (self.since_us, self.sample_bytes) = (now_us, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sender that keeps to the credit over a link of `rate` bytes a millisecond and a round trip of `rtt_ms`; bytes in a second.
    fn carried_in_a_second(rate: u64, rtt_ms: u64) -> u64 {
        let mut credit = Credit::new();
        let (mut sent, mut granted) = (0, credit.first().granted_bytes);
        let mut on_their_way = std::collections::VecDeque::new();
        for now_ms in 0..1_000_u64 {
            while let Some((_, grant)) = on_their_way.pop_front_if(|(at_ms, _)| *at_ms <= now_ms) {
                granted = grant;
            }
            let bytes = rate.min(granted - sent);
            sent += bytes;
            if bytes > 0 && credit.received(1 + now_ms * 1_000, bytes, rtt_ms as u32 * 1_000).is_ok() {
                let news = credit.poll_news(1 + now_ms * 1_000);
                on_their_way.extend(news.map(|news| (now_ms + rtt_ms, news.granted_bytes)));
            }
        }
        sent
    }

    #[test]
    fn a_fast_link_is_filled_however_long_it_is() {
        for (rate, rtt_ms) in [(125_000, 1), (125_000, 20), (125_000, 80), (10_000, 150)] {
            let carried = carried_in_a_second(rate, rtt_ms);
            assert!(carried > rate * 700, "{carried} of {} with {rtt_ms} ms", rate * 1_000);
        }
    }

    #[test]
    fn a_slow_link_is_granted_no_more_than_at_first() {
        let mut credit = Credit::new();
        for step in 0..10_000 {
            credit.received(step * 10_000, 1_000, 300_000).unwrap();
            let news = credit.poll_news(step * 10_000);
            assert!(news.is_none_or(|news| news.granted_bytes == news.received_bytes + INITIAL_CREDIT_BYTES));
        }
    }

    #[test]
    fn no_link_is_granted_more_than_the_limit_and_nothing_beyond_is_taken() {
        let mut credit = Credit::new();
        for step in 0..10_000 {
            credit.received(step * 1_000, 1 << 20, 1_000_000).unwrap();
            let news = credit.poll_news(step * 1_000).unwrap();
            assert!(news.granted_bytes <= news.received_bytes + MAX_CREDIT_BYTES);
        }
        assert_eq!(credit.received(0, 2 * MAX_CREDIT_BYTES, 0), Err(Overdrawn));
    }

    #[test]
    fn what_a_link_brings_seldom_may_be_told_later_and_what_a_young_or_fast_one_does_may_not() {
        let patience_ms = |received_bytes, window_bytes, pause_ms: u64| {
            let told_us = 1_000_000;
            let mut credit = Credit { received_bytes, window_bytes, told_us, ..Credit::new() };
            credit.poll_news(told_us + pause_ms * 1_000).unwrap();
            credit.patience().as_millis()
        };
        assert_eq!(patience_ms(YOUNG_BYTES, INITIAL_CREDIT_BYTES, 10), 5);
        assert_eq!(patience_ms(YOUNG_BYTES, INITIAL_CREDIT_BYTES, 160), 20);
        assert_eq!(patience_ms(YOUNG_BYTES, INITIAL_CREDIT_BYTES, 1_000), 35);
        assert_eq!(patience_ms(YOUNG_BYTES - 1, INITIAL_CREDIT_BYTES, 1_000), 0);
        assert_eq!(patience_ms(YOUNG_BYTES, INITIAL_CREDIT_BYTES + 1, 1_000), 0);
    }

    #[test]
    fn each_arrival_of_a_slow_link_is_told_and_many_of_a_fast_one_together() {
        let mut credit = Credit::new();
        assert_eq!((credit.news_at_us(), credit.poll_news(1_000_000)), (None, None));
        for step in 1..100 {
            credit.received(step * TELL_US, 16_384, 0).unwrap();
            assert_eq!(credit.poll_news(step * TELL_US).unwrap().received_bytes, step * 16_384);
        }
        let told_us = 99 * TELL_US;
        let told = (1..=15).filter(|step| {
            credit.received(told_us + step, 16_384, 0).unwrap();
            credit.poll_news(told_us + step).is_some()
        });
        assert_eq!(told.count(), 0);
        assert_eq!(credit.news_at_us(), Some(told_us + TELL_US));
        credit.received(told_us + 16, 16_384, 0).unwrap();
        assert_eq!(credit.poll_news(told_us + 16).unwrap().received_bytes, (99 + 16) * 16_384);
        assert_eq!(credit.news_at_us(), None);
    }
}
