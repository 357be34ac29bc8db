//! Which of two connections to the same node stays. Pure, and the same at both ends.

use shared::{NodeId, wire::PathKind};

/// Connections that open within this time of each other were opened at once; a later one means that the other end lost the first.
pub(super) const SIMULTANEOUS_MS: u64 = 5_000;

/// A connection to a node, as both its ends see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Contender {
    /// Who said Hello.
    pub(super) dialler: NodeId,
    pub(super) path: PathKind,
    pub(super) opened_ms: u64,
}

/// What becomes of the newer connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It takes over.
    Replace,
    /// It is closed.
    Refuse,
    /// The other end dialled both and closes one; until then it waits.
    Spare,
}

/// A relay carries every byte twice over a third node's line; the two others are one wire.
pub(super) const fn is_relayed(path: PathKind) -> bool {
    matches!(path, PathKind::Relayed)
}

/// Judges `new` against the connection that is `live`, at the node `own`.
pub(super) fn judge(own: NodeId, live: Contender, new: Contender) -> Verdict {
    if is_relayed(live.path) != is_relayed(new.path) {
        return if is_relayed(live.path) { Verdict::Replace } else { Verdict::Refuse };
    }
    if new.opened_ms >= live.opened_ms + SIMULTANEOUS_MS {
        return Verdict::Replace;
    }
    if new.dialler != live.dialler {
        return if new.dialler < live.dialler { Verdict::Replace } else { Verdict::Refuse };
    }
    if new.dialler == own { Verdict::Refuse } else { Verdict::Spare }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: NodeId = NodeId([1; 32]);
    const LARGE: NodeId = NodeId([2; 32]);

    const fn by(dialler: NodeId, path: PathKind, opened_ms: u64) -> Contender {
        Contender { dialler, path, opened_ms }
    }

    #[test]
    fn both_ends_keep_the_connection_the_smaller_node_dialled() {
        let small = by(SMALL, PathKind::Direct, 10);
        let large = by(LARGE, PathKind::Direct, 0);
        for own in [SMALL, LARGE] {
            assert_eq!(judge(own, large, small), Verdict::Replace);
            assert_eq!(
                judge(own, Contender { opened_ms: 0, ..small }, Contender { opened_ms: 10, ..large }),
                Verdict::Refuse
            );
        }
    }

    #[test]
    fn a_direct_connection_replaces_a_relayed_one_and_never_the_other_way() {
        let relayed = by(SMALL, PathKind::Relayed, 0);
        let direct = by(LARGE, PathKind::Direct, 100);
        assert_eq!(judge(SMALL, relayed, direct), Verdict::Replace);
        assert_eq!(judge(SMALL, direct, by(SMALL, PathKind::Relayed, 90_000)), Verdict::Refuse);
        assert_eq!(
            judge(SMALL, by(SMALL, PathKind::Relayed, 0), by(LARGE, PathKind::Reversed, 1)),
            Verdict::Replace
        );
    }

    #[test]
    fn a_connection_long_after_the_first_means_that_the_first_is_lost() {
        let live = by(SMALL, PathKind::Direct, 0);
        assert_eq!(judge(SMALL, live, by(LARGE, PathKind::Direct, SIMULTANEOUS_MS)), Verdict::Replace);
        assert_eq!(judge(SMALL, live, by(SMALL, PathKind::Direct, SIMULTANEOUS_MS)), Verdict::Replace);
    }

    #[test]
    fn of_two_connections_of_one_dialler_the_dialler_keeps_the_first_and_the_other_end_waits_for_that() {
        let (live, new) = (by(SMALL, PathKind::Direct, 0), by(SMALL, PathKind::Direct, 10));
        assert_eq!(judge(SMALL, live, new), Verdict::Refuse);
        assert_eq!(judge(LARGE, live, new), Verdict::Spare);
    }
}
