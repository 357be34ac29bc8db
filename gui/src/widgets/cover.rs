//! Covers: the picture of a file, or a calm gradient with an icon where there is none.
//!
//! Invariant: the same file always has the same stand-in. Draws only; fetching is the app's.

use egui::{Color32, Mesh, Rect, TextureHandle, Ui, epaint::RectShape, pos2, vec2};
use shared::{ContentId, MediaKind};

use super::icons::{self, Icon};
use crate::theme;

/// Paints the cover of a file into `rect`, cropped to fill it.
pub fn paint(
    ui: &Ui,
    rect: Rect,
    corner: u8,
    texture: Option<&TextureHandle>,
    content_id: &ContentId,
    kind: MediaKind,
) {
    match texture {
        Some(texture) => {
            let uv = crop(texture.size_vec2(), rect.size());
            let shape = RectShape::filled(rect, corner, Color32::WHITE).with_texture(texture.id(), uv);
            ui.painter().add(shape);
        }
        None => placeholder(ui, rect, corner, content_id, kind),
    }
}

/// The part of a picture that fills `target` without being stretched.
pub fn crop(picture: egui::Vec2, target: egui::Vec2) -> Rect {
    let full = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
    if picture.x <= 0.0 || picture.y <= 0.0 || target.x <= 0.0 || target.y <= 0.0 {
        return full;
    }
    let ratio = (picture.x / picture.y) / (target.x / target.y);
    let size = if ratio > 1.0 { vec2(1.0 / ratio, 1.0) } else { vec2(1.0, ratio) };
    Rect::from_center_size(full.center(), size)
}

fn placeholder(ui: &Ui, rect: Rect, corner: u8, content_id: &ContentId, kind: MediaKind) {
    let tokens = theme::of(ui);
    let [top, bottom] = theme::placeholder(content_id, tokens.is_dark);
    // The gradient is a textured mesh in egui's terms only where corners are square; round ones are cut by a fan.
    let mut mesh = Mesh::default();
    let radius = f32::from(corner).min(rect.width() / 2.0).min(rect.height() / 2.0);
    mesh.colored_vertex(rect.center(), mix(top, bottom, 0.5));
    let corners = [
        (pos2(rect.right() - radius, rect.top() + radius), -90.0),
        (pos2(rect.right() - radius, rect.bottom() - radius), 0.0),
        (pos2(rect.left() + radius, rect.bottom() - radius), 90.0),
        (pos2(rect.left() + radius, rect.top() + radius), 180.0),
    ];
    for (center, start) in corners {
        for step in 0..=8 {
            let angle = (start + 90.0 * step as f32 / 8.0_f32).to_radians();
            let point = center + vec2(angle.cos(), angle.sin()) * radius;
            let t = ((point.y - rect.top()) / rect.height() * 0.8
                + (point.x - rect.left()) / rect.width() * 0.2)
                .clamp(0.0, 1.0);
            mesh.colored_vertex(point, mix(top, bottom, t));
        }
    }
    let rim = mesh.vertices.len() as u32 - 1;
    for index in 0..rim {
        mesh.add_triangle(0, 1 + index, 1 + (index + 1) % rim);
    }
    ui.painter().add(mesh);
    let side = (rect.width().min(rect.height()) * 0.34).clamp(14.0, 72.0);
    let icon = match kind {
        MediaKind::Audio => Icon::Music,
        MediaKind::Video => Icon::Film,
    };
    let ink = if tokens.is_dark { Color32::from_white_alpha(150) } else { Color32::from_black_alpha(110) };
    icons::paint(ui.painter(), Rect::from_center_size(rect.center(), vec2(side, side)), icon, ink);
}

fn mix(a: Color32, b: Color32, t: f32) -> Color32 {
    a.lerp_to_gamma(b, t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_picture_loses_its_sides_and_a_tall_one_its_ends() {
        assert_eq!(crop(vec2(200.0, 100.0), vec2(50.0, 50.0)).size(), vec2(0.5, 1.0));
        assert_eq!(crop(vec2(100.0, 200.0), vec2(50.0, 50.0)).size(), vec2(1.0, 0.5));
        assert_eq!(crop(vec2(160.0, 90.0), vec2(16.0, 9.0)).size(), vec2(1.0, 1.0));
    }
}
