//! The program's icon, drawn by hand into pixels: a play triangle whose corners are peers.
//!
//! Pure; the rail draws the same mark with the painter.

use egui::{IconData, Vec2, vec2};

const SIDE: usize = 128;

/// The icon of the window and the task bar.
pub fn window_icon() -> IconData {
    let accent = crate::theme::DARK.accent;
    let ink = crate::theme::DARK.on_accent;
    let mut rgba = Vec::with_capacity(SIDE * SIDE * 4);
    for index in 0..SIDE * SIDE {
        let at = vec2((index % SIDE) as f32 + 0.5, (index / SIDE) as f32 + 0.5) / SIDE as f32;
        let ground = coverage(rounded_square(at, 0.26));
        let mark = coverage(mark(at));
        let color = accent.lerp_to_gamma(ink, mark);
        rgba.extend([color.r(), color.g(), color.b(), (ground * 255.0) as u8]);
    }
    IconData { rgba, width: SIDE as u32, height: SIDE as u32 }
}

/// From a signed distance in icon widths to how much of the pixel is covered.
fn coverage(distance: f32) -> f32 {
    (0.5 - distance * SIDE as f32).clamp(0.0, 1.0)
}

fn rounded_square(at: Vec2, radius: f32) -> f32 {
    let corner = (at - vec2(0.5, 0.5)).abs() - vec2(0.5 - radius, 0.5 - radius);
    corner.max(Vec2::ZERO).length() + corner.max_elem().min(0.0) - radius
}

fn mark(at: Vec2) -> f32 {
    let corners = [vec2(0.34, 0.26), vec2(0.74, 0.5), vec2(0.34, 0.74)];
    let edge = |a: Vec2, b: Vec2| {
        let along = ((at - a).dot(b - a) / (b - a).length_sq()).clamp(0.0, 1.0);
        (at - (a + (b - a) * along)).length() - 0.032
    };
    let lines = [edge(corners[0], corners[1]), edge(corners[1], corners[2]), edge(corners[2], corners[0])];
    let dots = corners.map(|corner| (at - corner).length() - 0.11);
    lines.into_iter().chain(dots).fold(f32::INFINITY, f32::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_icon_has_transparent_corners_and_an_opaque_middle() {
        let icon = window_icon();
        assert_eq!(icon.rgba.len(), SIDE * SIDE * 4);
        assert_eq!(icon.rgba[3], 0);
        let middle = (SIDE / 2 * SIDE + SIDE / 2) * 4 + 3;
        assert_eq!(icon.rgba[middle], 255);
    }
}
