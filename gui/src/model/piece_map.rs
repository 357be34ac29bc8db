//! The piece map brought to as many cells as the screen has room for, and its legend.
//!
//! Invariant: a cell looks verified only if every piece in it is; anything wanted shows through, so that one missing piece in a
//! thousand cannot hide behind its neighbours.

use shared::snapshot::PieceState;

/// One cell of the drawn map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// What to colour it as.
    pub state: PieceState,
    /// How much of it is verified, 0 to 1.
    pub verified: f32,
    /// The first piece it stands for.
    pub first_piece: usize,
    /// How many pieces it stands for.
    pub pieces: usize,
}

/// How many pieces are in each state, in the order of the legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Census {
    /// Fully verified.
    pub verified: usize,
    /// Partly verified.
    pub partial: usize,
    /// Asked for.
    pub requested: usize,
    /// Held by somebody.
    pub available: usize,
    /// Held by nobody connected.
    pub missing: usize,
}

/// At most `max_cells` cells that together stand for all of `pieces`, in order.
pub fn downsample(pieces: &[PieceState], max_cells: usize) -> Vec<Cell> {
    let cells = pieces.len().min(max_cells);
    (0..cells)
        .map(|cell| {
            let first_piece = cell * pieces.len() / cells;
            let end = (cell + 1) * pieces.len() / cells;
            cell_of(&pieces[first_piece..end], first_piece)
        })
        .collect()
}

/// Counts for the legend.
pub fn census(pieces: &[PieceState]) -> Census {
    let mut census = Census::default();
    for piece in pieces {
        match piece {
            PieceState::Verified => census.verified += 1,
            PieceState::Partial => census.partial += 1,
            PieceState::Requested => census.requested += 1,
            PieceState::Available => census.available += 1,
            PieceState::Missing => census.missing += 1,
        }
    }
    census
}

/// What a person calls the state.
pub fn label(state: PieceState) -> &'static str {
    match state {
        PieceState::Verified => "Here",
        PieceState::Partial => "Arriving",
        PieceState::Requested => "Requested",
        PieceState::Available => "At a peer",
        PieceState::Missing => "Nowhere near",
    }
}

fn cell_of(pieces: &[PieceState], first_piece: usize) -> Cell {
    let census = census(pieces);
    let state = if census.verified == pieces.len() {
        PieceState::Verified
    } else if census.requested > 0 {
        PieceState::Requested
    } else if census.partial > 0 || census.verified > 0 {
        PieceState::Partial
    } else if census.available > 0 {
        PieceState::Available
    } else {
        PieceState::Missing
    };
    let verified = census.verified as f32 / pieces.len().max(1) as f32;
    Cell { state, verified, first_piece, pieces: pieces.len() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PieceState::{Available, Missing, Partial, Requested, Verified};

    #[test]
    fn few_pieces_keep_one_cell_each() {
        let cells = downsample(&[Verified, Missing, Requested], 100);
        assert_eq!(cells.iter().map(|cell| cell.state).collect::<Vec<_>>(), [Verified, Missing, Requested]);
    }

    #[test]
    fn cells_cover_every_piece_once() {
        let pieces = vec![Available; 1_003];
        let cells = downsample(&pieces, 64);
        assert_eq!(cells.len(), 64);
        let mut next = 0;
        for cell in &cells {
            assert_eq!(cell.first_piece, next);
            next += cell.pieces;
        }
        assert_eq!(next, pieces.len());
    }

    #[test]
    fn one_missing_piece_shows_through() {
        let mut pieces = vec![Verified; 1_000];
        pieces[500] = Missing;
        let cells = downsample(&pieces, 10);
        assert_eq!(cells.iter().filter(|cell| cell.state != Verified).count(), 1);
    }

    #[test]
    fn what_is_asked_for_outranks_what_is_partly_here() {
        assert_eq!(downsample(&[Partial, Requested, Verified, Available], 1)[0].state, Requested);
    }

    #[test]
    fn no_pieces_make_no_cells() {
        assert!(downsample(&[], 10).is_empty());
        assert!(downsample(&[Verified], 0).is_empty());
    }
}
