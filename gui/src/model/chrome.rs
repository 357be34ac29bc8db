//! When the controls over a film are visible, and when the pointer is.
//!
//! Invariant: they never vanish while they are needed (paused, pointer over them, keyboard focus, an open menu). Time is an
//! argument in seconds.

/// How long the controls stay after the last movement.
pub const HIDE_AFTER_SECONDS: f64 = 2.5;

/// The autohide rule's memory.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Chrome {
    last_activity: f64,
}

impl Chrome {
    /// The pointer moved, a key was pressed, the view was entered.
    pub fn handle_activity(&mut self, now: f64) {
        self.last_activity = now;
    }

    /// Whether the controls show. `is_held`: something about them keeps them (see the module).
    pub fn is_visible(&self, now: f64, is_held: bool) -> bool {
        is_held || now - self.last_activity < HIDE_AFTER_SECONDS
    }

    /// Seconds until they hide, if they are going to.
    pub fn hides_in(&self, now: f64, is_held: bool) -> Option<f64> {
        let left = HIDE_AFTER_SECONDS - (now - self.last_activity);
        (!is_held && left > 0.0).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_hide_after_stillness_and_return_with_movement() {
        let mut chrome = Chrome::default();
        chrome.handle_activity(10.0);
        assert!(chrome.is_visible(12.4, false));
        assert!(!chrome.is_visible(12.5, false));
        chrome.handle_activity(13.0);
        assert!(chrome.is_visible(13.1, false));
    }

    #[test]
    fn held_controls_neither_hide_nor_wake_anybody() {
        let chrome = Chrome::default();
        assert!(chrome.is_visible(1e6, true));
        assert_eq!(chrome.hides_in(1.0, true), None);
        assert_eq!(chrome.hides_in(1.0, false), Some(1.5));
        assert_eq!(chrome.hides_in(100.0, false), None);
    }
}
