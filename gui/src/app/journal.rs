//! Collects the program's log for the console, beside what goes to standard error.
//!
//! Invariant: taking a line down costs one short lock, and a panicking reader does not stop the log.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use crate::model::journal::{Journal, Severity};

/// The log, shared by who writes and who shows it.
#[derive(Debug, Clone)]
pub struct SharedJournal {
    journal: Arc<Mutex<Journal>>,
    begun: Instant,
}

impl Default for SharedJournal {
    fn default() -> Self {
        Self { journal: Arc::default(), begun: Instant::now() }
    }
}

impl SharedJournal {
    /// The log, locked.
    pub fn lock(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for SharedJournal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut words = Words::default();
        event.record(&mut words);
        let severity = match *event.metadata().level() {
            Level::ERROR => Severity::Error,
            Level::WARN => Severity::Warning,
            Level::INFO => Severity::Info,
            _ => Severity::Detail,
        };
        let text = words.message + &words.fields;
        let at_seconds = self.begun.elapsed().as_secs_f64();
        let origin = words.origin.as_deref().unwrap_or_else(|| event.metadata().target());
        self.lock().push(at_seconds, severity, origin, text);
    }
}

/// A line's message and its fields, as text.
#[derive(Default)]
struct Words {
    message: String,
    fields: String,
    /// Who speaks, where the line came through the `log` crate.
    origin: Option<String>,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name().starts_with("log.") {
            return;
        }
        let written = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "log.target" => self.origin = Some(value.to_owned()),
            name if name.starts_with("log.") => {}
            _ => self.record_debug(field, &format_args!("{value}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn an_event_becomes_a_line_with_its_fields() {
        let journal = SharedJournal::default();
        let subscriber = tracing_subscriber::registry().with(journal.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(peer = "ab12", late_ms = 7, "a source is slow");
        });
        let lines = journal.lock().select(Severity::Warning, "");
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].text, "a source is slow peer=ab12 late_ms=7");
        assert_eq!(lines[0].severity, Severity::Warning);
    }
}
