//! What was to be played at once (`--play`), while it is not in the list.
//!
//! Invariant: a person is told at most once that it is waited for, and only when the list has had time to come. Time is an argument
//! in seconds.

/// A long list comes in parts: so long after the tracker was reached what is not in it may be called missing.
const LIST_SECONDS: f64 = 2.0;

/// The wait for one content.
#[derive(Debug)]
pub struct Wanted {
    name: String,
    connected_at: Option<f64>,
    is_told: bool,
}

impl Wanted {
    /// Waits for what [`crate::model::library::find`] finds by this name.
    pub fn new(name: String) -> Self {
        Self { name, connected_at: None, is_told: false }
    }

    /// How it was named.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// It is not in the list. The answer is a sentence to tell, once.
    pub fn handle_missing(&mut self, now: f64, is_connected: bool) -> Option<String> {
        if !is_connected {
            self.connected_at = None;
            return None;
        }
        let since = *self.connected_at.get_or_insert(now);
        if self.is_told || now < since + LIST_SECONDS {
            return None;
        }
        self.is_told = true;
        Some(if self.name.eq_ignore_ascii_case("first") {
            "Waiting for a first file to appear on the network".to_owned()
        } else {
            format!("Waiting for “{}” to appear on the network", self.name)
        })
    }

    /// When it will be told that it is waited for.
    pub fn poll_timeout(&self) -> Option<f64> {
        self.connected_at.filter(|_| !self.is_told).map(|since| since + LIST_SECONDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_told_once_that_what_was_wanted_is_waited_for() {
        let mut wanted = Wanted::new("foo".to_owned());
        assert_eq!(wanted.handle_missing(1.0, true), None);
        assert_eq!(wanted.poll_timeout(), Some(3.0));
        assert_eq!(wanted.handle_missing(2.9, true), None);
        let told = wanted.handle_missing(3.0, true);
        assert_eq!(told.as_deref(), Some("Waiting for “foo” to appear on the network"));
        assert_eq!((wanted.handle_missing(9.0, true), wanted.poll_timeout()), (None, None));
    }

    #[test]
    fn nothing_is_called_missing_before_the_tracker_is_reached() {
        let mut wanted = Wanted::new("first".to_owned());
        assert_eq!(wanted.handle_missing(1.0, true), None);
        assert_eq!((wanted.handle_missing(60.0, false), wanted.poll_timeout()), (None, None));
        assert_eq!(wanted.handle_missing(61.0, true), None);
        assert!(wanted.handle_missing(63.0, true).is_some());
    }
}
