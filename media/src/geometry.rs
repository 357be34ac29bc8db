//! From coded size to display size: sample aspect ratio, rotation and the cap on what we scale to.
//!
//! Pure arithmetic on sizes and RGBA rows.

/// A turn of the picture, clockwise, as the container's display matrix asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Rotation {
    /// As coded.
    #[default]
    None,
    /// A quarter turn clockwise.
    Clockwise90,
    /// Upside down.
    Half,
    /// A quarter turn counter-clockwise.
    Clockwise270,
}

impl Rotation {
    /// Reads a 3x3 display matrix of 32-bit fixed point numbers; an unusual or malformed one is no rotation.
    pub(crate) fn from_display_matrix(bytes: &[u8]) -> Self {
        let cell = |index: usize| -> f64 {
            bytes
                .get(index * 4..index * 4 + 4)
                .and_then(|b| <[u8; 4]>::try_from(b).ok())
                .map_or(0.0, |b| f64::from(i32::from_ne_bytes(b)))
        };
        // Rows are (a b u)(c d v)(x y w): a point turns by atan2(b, a) clockwise on a y-down screen.
        let (a, b) = (cell(0), cell(1));
        if a == 0.0 && b == 0.0 {
            return Self::None;
        }
        match (b.atan2(a).to_degrees().round() as i64).rem_euclid(360) {
            45..=134 => Self::Clockwise90,
            135..=224 => Self::Half,
            225..=314 => Self::Clockwise270,
            _ => Self::None,
        }
    }

    fn swaps_axes(self) -> bool {
        matches!(self, Self::Clockwise90 | Self::Clockwise270)
    }
}

/// The size to scale to before rotating, and the size that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Display {
    /// Size the scaler produces.
    pub(crate) scaled: (u32, u32),
    /// Size after rotation.
    pub(crate) shown: (u32, u32),
}

/// The display size of a coded picture: pixels made square, shrunk to fit `cap` if larger, never enlarged beyond
/// what the aspect ratio asks for.
pub(crate) fn display_size(
    coded: (u32, u32),
    sar: (i32, i32),
    rotation: Rotation,
    cap: (u32, u32),
) -> Display {
    let (mut width, mut height) = (f64::from(coded.0.max(1)), f64::from(coded.1.max(1)));
    let ratio = f64::from(sar.0) / f64::from(sar.1.max(1));
    if sar.0 > 0 && sar.1 > 0 && ratio > 0.05 && ratio < 20.0 {
        width *= ratio;
    }
    let bound = if rotation.swaps_axes() { (cap.1, cap.0) } else { cap };
    let shrink = (f64::from(bound.0.max(1)) / width).min(f64::from(bound.1.max(1)) / height).min(1.0);
    width *= shrink;
    height *= shrink;
    let scaled = (width.round().max(1.0) as u32, height.round().max(1.0) as u32);
    let shown = if rotation.swaps_axes() { (scaled.1, scaled.0) } else { scaled };
    Display { scaled, shown }
}

/// Turns tightly packed RGBA rows; `size` is the size before the turn.
pub(crate) fn rotate_rgba(rgba: Vec<u8>, size: (u32, u32), rotation: Rotation) -> Vec<u8> {
    let (width, height) = (size.0 as usize, size.1 as usize);
    if rotation == Rotation::None || rgba.len() != width * height * 4 {
        return rgba;
    }
    let mut out = Vec::with_capacity(rgba.len());
    let mut take = |x: usize, y: usize| {
        let at = (y * width + x) * 4;
        out.extend_from_slice(rgba.get(at..at + 4).unwrap_or(&[0, 0, 0, 255]));
    };
    match rotation {
        Rotation::None => {}
        Rotation::Half => (0..height).rev().for_each(|y| (0..width).rev().for_each(|x| take(x, y))),
        Rotation::Clockwise90 => (0..width).for_each(|x| (0..height).rev().for_each(|y| take(x, y))),
        Rotation::Clockwise270 => (0..width).rev().for_each(|x| (0..height).for_each(|y| take(x, y))),
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAP: (u32, u32) = (1280, 720);

    #[test]
    fn square_pixels_below_the_cap_stay_as_they_are() {
        let display = display_size((640, 360), (1, 1), Rotation::None, CAP);
        assert_eq!(display, Display { scaled: (640, 360), shown: (640, 360) });
        assert_eq!(display_size((640, 360), (0, 1), Rotation::None, CAP).shown, (640, 360));
    }

    #[test]
    fn wide_pixels_widen_the_picture() {
        assert_eq!(display_size((720, 576), (64, 45), Rotation::None, CAP).shown, (1024, 576));
    }

    #[test]
    fn large_pictures_shrink_to_the_cap_with_their_shape_kept() {
        assert_eq!(display_size((3840, 2160), (1, 1), Rotation::None, CAP).shown, (1280, 720));
        assert_eq!(display_size((3840, 1600), (1, 1), Rotation::None, CAP).shown, (1280, 533));
    }

    #[test]
    fn a_quarter_turn_swaps_the_axes_and_the_cap() {
        let display = display_size((1920, 1080), (1, 1), Rotation::Clockwise90, CAP);
        assert_eq!(display.shown, (405, 720));
        assert_eq!(display.scaled, (720, 405));
    }

    #[test]
    fn rotation_moves_the_corners_clockwise() {
        let pixel = |n: u8| [n, n, n, 255];
        let rgba: Vec<u8> = [1, 2, 3, 4, 5, 6].into_iter().flat_map(pixel).collect();
        let firsts = |rgba: Vec<u8>| rgba.chunks(4).map(|p| p[0]).collect::<Vec<_>>();
        assert_eq!(firsts(rotate_rgba(rgba.clone(), (3, 2), Rotation::Clockwise90)), [4, 1, 5, 2, 6, 3]);
        assert_eq!(firsts(rotate_rgba(rgba.clone(), (3, 2), Rotation::Half)), [6, 5, 4, 3, 2, 1]);
        assert_eq!(firsts(rotate_rgba(rgba, (3, 2), Rotation::Clockwise270)), [3, 6, 2, 5, 1, 4]);
    }

    #[test]
    fn a_malformed_display_matrix_is_no_rotation() {
        assert_eq!(Rotation::from_display_matrix(&[]), Rotation::None);
        assert_eq!(Rotation::from_display_matrix(&[1, 2, 3]), Rotation::None);
    }

    #[test]
    fn the_matrix_of_an_upright_phone_video_turns_clockwise() {
        let mut bytes = Vec::new();
        for cell in [0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x4000_0000_i32] {
            bytes.extend_from_slice(&cell.to_ne_bytes());
        }
        assert_eq!(Rotation::from_display_matrix(&bytes), Rotation::Clockwise90);
    }
}
