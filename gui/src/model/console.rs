//! The console's selection of the log: which lines, and the lines themselves.
//!
//! Invariant: the lines shown are what the journal had for this selection when it was last looked at; they are looked for
//! again only when the journal or the selection has changed.

use std::sync::Arc;

use super::journal::{Journal, LogLine, Severity};

/// What the console shows.
#[derive(Debug, Default)]
pub struct Console {
    /// Words that must all occur.
    pub words: String,
    /// The least serious lines shown.
    pub severity: Severity,
    lines: Vec<Arc<LogLine>>,
    seen: Option<(u64, Severity, String)>,
}

impl Console {
    /// Looks at the journal again.
    pub fn refresh(&mut self, journal: &Journal) {
        let now = (journal.count(), self.severity, self.words.clone());
        if self.seen.as_ref() != Some(&now) {
            self.lines = journal.select(self.severity, &self.words);
            self.seen = Some(now);
        }
    }

    /// The lines, oldest first.
    pub fn lines(&self) -> &[Arc<LogLine>] {
        &self.lines
    }

    /// The lines as they are copied.
    pub fn to_text(&self) -> String {
        self.lines.iter().map(|line| line.to_text() + "\n").collect()
    }
}

/// The addresses of a tracker's pages, from the address clients dial: its dashboard and its debug console.
pub fn tracker_pages(tracker_url: &str) -> Option<[String; 2]> {
    let (scheme, rest) = tracker_url.split_once("://")?;
    let scheme = match scheme {
        "ws" => "http",
        "wss" => "https",
        _ => return None,
    };
    let host = rest.split(['/', '?']).next().filter(|host| !host.is_empty())?;
    Some([format!("{scheme}://{host}/"), format!("{scheme}://{host}/console")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_lines_and_new_words_change_what_is_shown() {
        let mut journal = Journal::default();
        let mut console = Console::default();
        journal.push(0.0, Severity::Info, "x", "one".to_owned());
        console.refresh(&journal);
        assert_eq!(console.lines().len(), 1);
        journal.push(0.0, Severity::Info, "x", "two".to_owned());
        console.refresh(&journal);
        assert_eq!(console.lines().len(), 2);
        console.words = "two".to_owned();
        console.refresh(&journal);
        assert_eq!(console.lines().len(), 1);
        assert!(console.to_text().contains("two"));
    }

    #[test]
    fn a_trackers_pages_follow_from_its_address() {
        let pages = tracker_pages("wss://tracker.example:7700/ws");
        let wanted = ["https://tracker.example:7700/", "https://tracker.example:7700/console"];
        assert_eq!(pages, Some(wanted.map(str::to_owned)));
        assert_eq!(tracker_pages("nowhere"), None);
        assert_eq!(tracker_pages("ws://"), None);
    }
}
