//! The piece map: every piece of the file as a cell, in rows, coloured by its state; a click seeks there.
//!
//! Invariant: cells are in the order of the file and together stand for all of it. One mesh, whatever the number of pieces.

use egui::{Color32, Mesh, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2};
use shared::snapshot::PieceState;

use crate::{
    model::piece_map::{self, Cell},
    theme::{self, Tokens, space},
};

const CELL: f32 = 9.0;
const GAP: f32 = 2.0;
/// More rows than this would push everything else out of the panel.
const MAX_ROWS: usize = 14;

/// Draws the map as wide as there is room. Returns the fraction of the file that was clicked.
pub fn show(ui: &mut Ui, pieces: &[PieceState], playhead: f32) -> (Response, Option<f32>) {
    let tokens = theme::of(ui);
    let columns = ((ui.available_width() + GAP) / (CELL + GAP)).floor().max(1.0) as usize;
    let cells = piece_map::downsample(pieces, columns * MAX_ROWS);
    let rows = cells.len().div_ceil(columns).max(1);
    let height = rows as f32 * (CELL + GAP) - GAP;
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::click());
    let census = piece_map::census(pieces);
    let name = format!("Piece map, {} of {} pieces here", census.verified, pieces.len());
    response.widget_info(move || WidgetInfo::labeled(Role::Button, true, name.clone()));
    let cell_rect = |index: usize| {
        let (row, column) = (index / columns, index % columns);
        let min = rect.min + vec2(column as f32, row as f32) * (CELL + GAP);
        Rect::from_min_size(min, vec2(CELL, CELL))
    };
    let mut mesh = Mesh::default();
    for (index, cell) in cells.iter().enumerate() {
        mesh.add_colored_rect(cell_rect(index), color(tokens, cell));
    }
    ui.painter().add(mesh);
    if let Some(last) = cells.len().checked_sub(1) {
        let at = ((playhead * cells.len() as f32) as usize).min(last);
        let stroke = Stroke::new(1.5, tokens.text);
        ui.painter().rect_stroke(cell_rect(at).expand(1.0), 1, stroke, StrokeKind::Outside);
    }
    super::controls::focus_ring(ui, &response, rect);
    let under_pointer = response.hover_pos().and_then(|pos| {
        let offset = (pos - rect.min) / (CELL + GAP);
        let index = offset.y.max(0.0) as usize * columns + (offset.x.max(0.0) as usize).min(columns - 1);
        cells.get(index).map(|cell| (index, *cell))
    });
    let response = match under_pointer {
        Some((_, cell)) => response.on_hover_text_at_pointer(describe(&cell, pieces.len())),
        None => response,
    };
    let clicked = under_pointer
        .filter(|_| response.clicked())
        .map(|(_, cell)| cell.first_piece as f32 / pieces.len().max(1) as f32);
    (response, clicked)
}

/// The legend under the map, with counts.
pub fn legend(ui: &mut Ui, pieces: &[PieceState]) {
    let tokens = theme::of(ui);
    let census = piece_map::census(pieces);
    let entries = [
        (PieceState::Verified, census.verified),
        (PieceState::Partial, census.partial),
        (PieceState::Requested, census.requested),
        (PieceState::Available, census.available),
        (PieceState::Missing, census.missing),
    ];
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(space::M, space::XS);
        for (state, count) in entries {
            let text = format!("{} {count}", piece_map::label(state));
            let galley = super::text::one_line(ui, &text, theme::caption(), tokens.text_muted, 200.0);
            let (rect, response) = ui.allocate_exact_size(
                vec2(galley.size().x + CELL + space::XS, galley.size().y),
                Sense::hover(),
            );
            let square =
                Rect::from_center_size(pos2(rect.left() + CELL / 2.0, rect.center().y), vec2(CELL, CELL));
            ui.painter().rect_filled(square, 2, state_color(tokens, state));
            ui.painter().galley(pos2(square.right() + space::XS, rect.top()), galley, tokens.text_muted);
            response.widget_info(move || WidgetInfo::labeled(Role::Label, true, text.clone()));
        }
    });
}

fn describe(cell: &Cell, total: usize) -> String {
    let label = piece_map::label(cell.state);
    let first = cell.first_piece + 1;
    if cell.pieces == 1 {
        format!("Piece {first} of {total}: {label}")
    } else {
        let last = cell.first_piece + cell.pieces;
        format!("Pieces {first}–{last} of {total}: {label}, {:.0} % here", cell.verified * 100.0)
    }
}

fn color(tokens: &Tokens, cell: &Cell) -> Color32 {
    let base = state_color(tokens, cell.state);
    // A cell of several pieces shows how much of it is here by shading towards "verified".
    match cell.state {
        PieceState::Partial if cell.verified > 0.0 => {
            base.lerp_to_gamma(tokens.piece_verified, cell.verified * 0.8)
        }
        PieceState::Verified
        | PieceState::Partial
        | PieceState::Requested
        | PieceState::Available
        | PieceState::Missing => base,
    }
}

fn state_color(tokens: &Tokens, state: PieceState) -> Color32 {
    match state {
        PieceState::Verified => tokens.piece_verified,
        PieceState::Partial => tokens.piece_partial,
        PieceState::Requested => tokens.piece_requested,
        PieceState::Available => tokens.piece_available,
        PieceState::Missing => tokens.piece_missing,
    }
}
