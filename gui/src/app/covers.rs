//! Covers as textures: which are here, which were asked for, and a bound on how many.
//!
//! Invariant: at most [`MAX_COVERS`] textures; the ones longest out of sight go first. Fetching is the backend's.

use std::collections::BTreeMap;

use egui::{Color32, ColorImage, Context, TextureHandle, TextureOptions, ecolor::HsvaGamma};
use shared::ContentId;

/// The most covers kept: some 250 kB each.
pub const MAX_COVERS: usize = 192;

/// Pixels looked at for the colour of a cover.
const SAMPLES: usize = 4_096;
/// Kinds of hue told apart.
const HUES: usize = 12;

/// The covers known to the window.
#[derive(Default)]
pub struct Covers {
    known: BTreeMap<ContentId, Slot>,
    clock: u64,
}

struct Slot {
    texture: Option<TextureHandle>,
    tint: Option<Color32>,
    last_wanted: u64,
}

impl std::fmt::Debug for Covers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Covers({})", self.known.len())
    }
}

impl Covers {
    /// The cover, if it is here.
    pub fn get(&self, content_id: &ContentId) -> Option<&TextureHandle> {
        self.known.get(content_id)?.texture.as_ref()
    }

    /// The colour of the cover as a whole, if it is here and has one.
    pub fn tint(&self, content_id: &ContentId) -> Option<Color32> {
        self.known.get(content_id)?.tint
    }

    /// Whether it was asked for already.
    pub fn is_known(&self, content_id: &ContentId) -> bool {
        self.known.contains_key(content_id)
    }

    /// Notes that it was asked for, and forgets the longest unseen if there are too many.
    pub fn handle_wanted(&mut self, content_id: ContentId) {
        self.clock += 1;
        self.known.insert(content_id, Slot { texture: None, tint: None, last_wanted: self.clock });
        while self.known.len() > MAX_COVERS {
            let oldest = self.known.iter().min_by_key(|(_, slot)| slot.last_wanted).map(|(id, _)| *id);
            let Some(oldest) = oldest else { break };
            self.known.remove(&oldest);
        }
    }

    /// Takes a cover that arrived; `None` says there is none and it need not be asked for again.
    pub fn handle_cover(&mut self, ctx: &Context, content_id: ContentId, image: Option<ColorImage>) {
        if let Some(slot) = self.known.get_mut(&content_id) {
            let name = format!("cover {}", content_id.short());
            slot.tint = image.as_ref().and_then(tint);
            slot.texture = image.map(|image| ctx.load_texture(name, image, TextureOptions::LINEAR));
        }
    }
}

/// The colour most of the picture's colourful pixels share; of a gray picture, its gray.
fn tint(image: &ColorImage) -> Option<Color32> {
    let step = (image.pixels.len() / SAMPLES).max(1);
    // The last slot is for what has no hue.
    let mut slots = [[0.0_f32; 4]; HUES + 1];
    for pixel in image.pixels.iter().step_by(step) {
        let color = HsvaGamma::from(*pixel);
        let colourful = color.s * color.v;
        let is_gray = colourful < 0.15;
        let slot = if is_gray { HUES } else { (color.h * HUES as f32) as usize % HUES };
        let weight = if is_gray { 0.02 } else { colourful };
        for (total, channel) in slots[slot].iter_mut().zip([pixel.r(), pixel.g(), pixel.b(), 1]) {
            *total += f32::from(channel) * weight;
        }
    }
    let [r, g, b, weight] = slots.into_iter().max_by(|a, b| a[3].total_cmp(&b[3]))?;
    let mean = |total: f32| (total / weight) as u8;
    (weight > 0.0).then(|| Color32::from_rgb(mean(r), mean(g), mean(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unseen_cover_is_forgotten_first() {
        let mut covers = Covers::default();
        for number in 0..=MAX_COVERS {
            covers.handle_wanted(id(number));
        }
        assert!(!covers.is_known(&id(0)));
        assert!(covers.is_known(&id(1)) && covers.is_known(&id(MAX_COVERS)));
    }

    #[test]
    fn the_colour_of_a_cover_is_that_of_its_colourful_part() {
        let gray = vec![Color32::from_gray(128); 90];
        let red = vec![Color32::from_rgb(200, 20, 20); 10];
        let image = ColorImage::new([10, 10], gray.into_iter().chain(red).collect());
        let color = tint(&image).unwrap();
        assert!(color.r() > 190 && color.g() < 40, "{color:?}");
        assert_eq!(tint(&ColorImage::new([0, 0], vec![])), None);
    }

    #[test]
    fn a_cover_that_is_forgotten_does_not_come_back() {
        let mut covers = Covers::default();
        covers.handle_cover(&Context::default(), id(1), Some(ColorImage::example()));
        assert!(covers.get(&id(1)).is_none());
        covers.handle_wanted(id(1));
        covers.handle_cover(&Context::default(), id(1), Some(ColorImage::example()));
        assert!(covers.get(&id(1)).is_some());
    }

    fn id(number: usize) -> ContentId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
        ContentId(bytes)
    }
}
