//! The program's own log as the console shows it: the last lines, by severity and by words.
//!
//! Invariant: at most [`MAX_LINES`] lines of at most [`MAX_TEXT_BYTES`] each, the oldest go first. Pure: who collects the lines
//! is the app's.

use std::{collections::VecDeque, sync::Arc};

/// The most lines kept.
pub const MAX_LINES: usize = 2_000;
/// The longest text of a line; more is cut.
pub const MAX_TEXT_BYTES: usize = 1_000;

/// How serious a line is, the most serious first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Severity {
    /// Something was lost.
    Error,
    /// Something is not as it should be.
    Warning,
    /// Something happened.
    #[default]
    Info,
    /// How it happened.
    Detail,
}

impl Severity {
    /// All of them, the most serious first.
    pub const ALL: [Self; 4] = [Self::Error, Self::Warning, Self::Info, Self::Detail];

    /// What the console calls it, and everything more serious.
    pub fn label(self) -> &'static str {
        match self {
            Self::Error => "Errors",
            Self::Warning => "Warnings",
            Self::Info => "Info",
            Self::Detail => "All",
        }
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLine {
    /// Grows by one a line.
    pub number: u64,
    /// Seconds since the program began.
    pub at_seconds: f64,
    /// How serious it is.
    pub severity: Severity,
    /// Which part of the program says so.
    pub origin: String,
    /// What it says.
    pub text: String,
}

impl LogLine {
    /// The line as it is copied.
    pub fn to_text(&self) -> String {
        format!("{:>9.3} {:?} {} {}", self.at_seconds, self.severity, self.origin, self.text)
    }
}

/// The last lines.
#[derive(Debug, Default)]
pub struct Journal {
    lines: VecDeque<Arc<LogLine>>,
    count: u64,
}

impl Journal {
    /// Takes a line.
    pub fn push(&mut self, at_seconds: f64, severity: Severity, origin: &str, mut text: String) {
        if text.len() > MAX_TEXT_BYTES {
            let cut = (0..=MAX_TEXT_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(cut);
            text.push('…');
        }
        if self.lines.len() == MAX_LINES {
            self.lines.pop_front();
        }
        self.count += 1;
        let line = LogLine { number: self.count, at_seconds, severity, origin: origin.to_owned(), text };
        self.lines.push_back(Arc::new(line));
    }

    /// How many lines there have ever been.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The lines at least as serious as `severity` that have every word of `words`, oldest first.
    pub fn select(&self, severity: Severity, words: &str) -> Vec<Arc<LogLine>> {
        let words: Vec<String> = words.split_whitespace().map(str::to_lowercase).collect();
        let has_words = |line: &LogLine| {
            let (origin, text) = (line.origin.to_lowercase(), line.text.to_lowercase());
            words.iter().all(|word| text.contains(word.as_str()) || origin.contains(word.as_str()))
        };
        self.lines.iter().filter(|line| line.severity <= severity && has_words(line)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lines_go_first() {
        let mut journal = Journal::default();
        for number in 0..MAX_LINES + 5 {
            journal.push(0.0, Severity::Info, "x", number.to_string());
        }
        let lines = journal.select(Severity::Detail, "");
        assert_eq!(lines.len(), MAX_LINES);
        assert_eq!(lines.first().map(|line| line.text.as_str()), Some("5"));
        assert_eq!(journal.count(), MAX_LINES as u64 + 5);
    }

    #[test]
    fn a_giant_line_is_cut_between_letters() {
        let mut journal = Journal::default();
        journal.push(0.0, Severity::Info, "x", "é".repeat(MAX_TEXT_BYTES));
        let line = journal.select(Severity::Info, "").remove(0);
        assert!(line.text.len() <= MAX_TEXT_BYTES + "…".len() && line.text.ends_with('…'));
    }

    #[test]
    fn lines_are_selected_by_severity_and_words() {
        let mut journal = Journal::default();
        journal.push(1.0, Severity::Error, "peer_actor::session", "link lost".to_owned());
        journal.push(2.0, Severity::Info, "gui", "Link made".to_owned());
        journal.push(3.0, Severity::Detail, "gui", "frame".to_owned());
        let texts = |severity, words: &str| {
            journal.select(severity, words).iter().map(|line| line.text.clone()).collect::<Vec<_>>()
        };
        assert_eq!(texts(Severity::Warning, ""), ["link lost"]);
        assert_eq!(texts(Severity::Info, "LINK"), ["link lost", "Link made"]);
        assert_eq!(texts(Severity::Detail, "gui frame"), ["frame"]);
    }
}
