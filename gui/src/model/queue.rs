//! What plays after what: the list as it was when somebody pressed play, in its order or shuffled, once or again and again.
//!
//! Invariant: shuffling and ending it never lose or repeat a file, and what plays stays where it is. Names files only; whether one is
//! still there is the caller's to say. Chance comes from a seed.

use serde::{Deserialize, Serialize};
use shared::ContentId;

/// What happens at the end of a track and of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Repeat {
    /// The list ends.
    #[default]
    Off,
    /// The list starts over.
    All,
    /// The track starts over.
    One,
}

impl Repeat {
    /// The next of the three.
    pub fn next(self) -> Self {
        match self {
            Self::Off => Self::All,
            Self::All => Self::One,
            Self::One => Self::Off,
        }
    }
}

/// The list that is played.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Queue {
    in_order: Vec<ContentId>,
    playing_order: Vec<ContentId>,
}

impl Queue {
    /// Takes a new list around `current`; with a seed it is shuffled, `current` first.
    pub fn fill(&mut self, list: Vec<ContentId>, current: ContentId, seed: Option<u64>) {
        self.in_order = list;
        if !self.in_order.contains(&current) {
            self.in_order.insert(0, current);
        }
        self.shuffle(Some(&current), seed);
    }

    /// Shuffles by a seed, or returns to the list's own order.
    pub fn shuffle(&mut self, current: Option<&ContentId>, seed: Option<u64>) {
        self.playing_order.clone_from(&self.in_order);
        if let Some(seed) = seed {
            self.playing_order.sort_by_key(|id| (Some(id) != current, draw(seed, id)));
        }
    }

    /// The files in the order they play.
    pub fn items(&self) -> &[ContentId] {
        &self.playing_order
    }

    /// What plays `step` files after `current`, without those that are not there any more.
    pub fn neighbour(
        &self,
        current: &ContentId,
        step: isize,
        wraps: bool,
        is_there: impl Fn(&ContentId) -> bool,
    ) -> Option<ContentId> {
        let count = self.playing_order.len();
        let mut at = self.playing_order.iter().position(|id| id == current)?;
        for _ in 1..count {
            at = match at.checked_add_signed(step) {
                Some(next) if next < count => next,
                _ if wraps => {
                    if step > 0 {
                        0
                    } else {
                        count - 1
                    }
                }
                _ => return None,
            };
            if let Some(id) = self.playing_order.get(at).filter(|id| is_there(id)) {
                return Some(*id);
            }
        }
        None
    }
}

/// A number drawn for an id: splitmix64 over the seed and the id's first bytes.
fn draw(seed: u64, id: &ContentId) -> u64 {
    let head = id.as_bytes().iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let mut mixed = (seed ^ head).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_ends_or_starts_over() {
        let queue = filled(None);
        assert_eq!(queue.neighbour(&id(0), 1, false, |_| true), Some(id(1)));
        assert_eq!(queue.neighbour(&id(9), 1, false, |_| true), None);
        assert_eq!(queue.neighbour(&id(9), 1, true, |_| true), Some(id(0)));
        assert_eq!(queue.neighbour(&id(0), -1, true, |_| true), Some(id(9)));
        assert_eq!(queue.neighbour(&id(77), 1, true, |_| true), None);
    }

    #[test]
    fn what_is_gone_is_passed_over() {
        let queue = filled(None);
        assert_eq!(queue.neighbour(&id(0), 1, false, |it| *it != id(1) && *it != id(2)), Some(id(3)));
        assert_eq!(queue.neighbour(&id(0), 1, true, |_| false), None);
    }

    #[test]
    fn shuffling_keeps_every_file_once_and_begins_with_what_plays() {
        let queue = filled(Some(7));
        assert_eq!(queue.items().first(), Some(&id(4)));
        let mut sorted = queue.items().to_vec();
        sorted.sort();
        assert_eq!(sorted, (0..10).map(id).collect::<Vec<_>>());
        assert_ne!(queue.items(), filled(Some(8)).items());
        assert_ne!(queue.items(), filled(None).items());
    }

    #[test]
    fn ending_the_shuffle_returns_to_the_list() {
        let mut queue = filled(Some(7));
        queue.shuffle(Some(&id(4)), None);
        assert_eq!(queue, filled(None));
    }

    #[test]
    fn a_file_from_outside_the_list_comes_first() {
        let mut queue = Queue::default();
        queue.fill(vec![id(1)], id(2), None);
        assert_eq!(queue.items(), [id(2), id(1)]);
    }

    fn filled(seed: Option<u64>) -> Queue {
        let mut queue = Queue::default();
        queue.fill((0..10).map(id).collect(), id(4), seed);
        queue
    }

    fn id(number: u8) -> ContentId {
        ContentId([number; 32])
    }
}
