//! What one planning or one run of repairs knows of all sources together, found out where it is first asked for.
//!
//! Invariant: what is known holds until a request goes out or is taken back; whoever does that says so. No source comes or goes meanwhile.

use std::cell::OnceCell;

use super::{SourceId, Viewer, crowd::Scarcity, source::Source};

/// See the file's header.
#[derive(Debug, Default)]
pub(super) struct Known {
    usual: OnceCell<f64>,
    soonest: OnceCell<Vec<Wait>>,
}

/// How long a source takes as a peer of a crowd, and its place among the sources.
type Wait = (f64, usize);

impl Known {
    /// What a link is assumed to carry before it is measured.
    pub(super) fn usual(&self, viewer: &Viewer) -> f64 {
        *self.usual.get_or_init(|| viewer.usual_bytes_per_ms())
    }

    /// The sources that may be asked now, without the one that is to be spared, and how long each takes as a peer of a crowd: whoever is
    /// soonest first.
    pub(super) fn soonest<'a>(
        &'a self,
        viewer: &'a Viewer,
        scarcity: Scarcity,
    ) -> impl Iterator<Item = (f64, SourceId, &'a Source)> {
        let soonest = self.soonest.get_or_init(|| {
            let waits = viewer.sources.iter().enumerate().filter_map(|(place, (id, source))| {
                Some((viewer.may_wait_ms(source).filter(|_| !scarcity.spares(*id))?, place))
            });
            let mut soonest = Vec::with_capacity(viewer.sources.len());
            soonest.extend(waits);
            soonest.sort_unstable_by(order);
            soonest
        });
        soonest.iter().filter_map(|(ms, place)| {
            let (id, source) = viewer.sources.at(*place)?;
            Some((*ms, id, source))
        })
    }

    /// A request went to a source: it has its place in the order anew.
    pub(super) fn asked(&mut self, viewer: &Viewer, id: SourceId) {
        let Some(soonest) = self.soonest.get_mut() else { return };
        let is_it = |(_, place): &Wait| viewer.sources.at(*place).is_some_and(|(other, _)| other == id);
        let Some(at) = soonest.iter().position(is_it) else { return };
        let (_, place) = soonest.remove(at);
        let ms = viewer.sources.at(place).and_then(|(_, source)| viewer.may_wait_ms(source));
        if let Some(wait) = ms.map(|ms| (ms, place)) {
            let at = soonest.partition_point(|other| order(other, &wait).is_lt());
            soonest.insert(at, wait);
        }
    }

    /// Requests were taken back: who is soonest is found out anew.
    pub(super) fn forget_soonest(&mut self) {
        self.soonest.take();
    }
}

impl Viewer {
    /// How long a source takes as a peer of a crowd, if it may be asked now.
    fn may_wait_ms(&self, source: &Source) -> Option<f64> {
        source.is_usable(self.now_ms).then(|| self.crowd_wait_ms(source))
    }
}

fn order(a: &Wait, b: &Wait) -> std::cmp::Ordering {
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
}
