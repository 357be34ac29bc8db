//! Covers as textures: which are here, which were asked for, and a bound on how many.
//!
//! Invariant: at most [`MAX_COVERS`] textures; the ones longest out of sight go first. Fetching is the backend's. Time is an argument
//! in seconds.

use std::{cell::Cell, collections::BTreeMap};

use egui::{Color32, ColorImage, Context, TextureHandle, TextureOptions, ecolor::HsvaGamma};
use shared::ContentId;

/// The most covers kept: some 250 kB each.
pub const MAX_COVERS: usize = 192;

/// A cover that could not be had is asked for again after this: perhaps nobody had the time to answer.
const RETRY_SECONDS: f64 = 30.0;
/// Pixels looked at for the colour of a cover.
const SAMPLES: usize = 4_096;
/// Kinds of hue told apart.
const HUES: usize = 12;

/// The covers known to the window.
#[derive(Default)]
pub struct Covers {
    known: BTreeMap<ContentId, Slot>,
    /// Counts looks and requests.
    clock: Cell<u64>,
}

struct Slot {
    texture: Option<TextureHandle>,
    tint: Option<Color32>,
    /// The latest look at it, or else its request.
    last_seen: Cell<u64>,
    /// There was none: when it may be asked for again.
    retry_at: Option<f64>,
}

impl std::fmt::Debug for Covers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Covers({})", self.known.len())
    }
}

impl Covers {
    /// The cover, if it is here, to be drawn: so it is in sight.
    pub fn get(&self, content_id: &ContentId) -> Option<&TextureHandle> {
        let slot = self.known.get(content_id)?;
        slot.last_seen.set(self.tick());
        slot.texture.as_ref()
    }

    /// The colour of the cover as a whole, if it is here and has one.
    pub fn tint(&self, content_id: &ContentId) -> Option<Color32> {
        self.known.get(content_id)?.tint
    }

    /// Whether it was asked for already, and need not be asked for again now.
    pub fn is_known(&self, content_id: &ContentId, now: f64) -> bool {
        self.known.get(content_id).is_some_and(|slot| slot.retry_at.is_none_or(|at| now < at))
    }

    /// Notes that it was asked for, and forgets the longest unseen if there are too many.
    pub fn handle_wanted(&mut self, content_id: ContentId) {
        let last_seen = Cell::new(self.tick());
        self.known.insert(content_id, Slot { texture: None, tint: None, last_seen, retry_at: None });
        while self.known.len() > MAX_COVERS {
            let oldest = self.known.iter().min_by_key(|(_, slot)| slot.last_seen.get()).map(|(id, _)| *id);
            let Some(oldest) = oldest else { break };
            self.known.remove(&oldest);
        }
    }

    /// Takes a cover that arrived; `None` says that there is none, or none to be had now.
    pub fn handle_cover(
        &mut self,
        ctx: &Context,
        now: f64,
        content_id: ContentId,
        image: Option<ColorImage>,
    ) {
        if let Some(slot) = self.known.get_mut(&content_id) {
            slot.retry_at = image.is_none().then_some(now + RETRY_SECONDS);
            let name = format!("cover {}", content_id.short());
            slot.tint = image.as_ref().and_then(tint);
            slot.texture = image.map(|image| ctx.load_texture(name, image, TextureOptions::LINEAR));
        }
    }

    fn tick(&self) -> u64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
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
        assert!(!covers.is_known(&id(0), 0.0));
        assert!(covers.is_known(&id(1), 0.0) && covers.is_known(&id(MAX_COVERS), 0.0));
    }

    #[test]
    fn a_cover_in_sight_stays_however_many_are_asked_for() {
        let mut covers = Covers::default();
        covers.handle_wanted(id(0));
        covers.handle_cover(&Context::default(), 0.0, id(0), Some(ColorImage::example()));
        for number in 1..=2 * MAX_COVERS {
            assert!(covers.get(&id(0)).is_some(), "gone after {number}");
            covers.handle_wanted(id(number));
        }
    }

    #[test]
    fn among_covers_asked_for_long_ago_the_one_seen_last_stays() {
        let mut covers = Covers::default();
        (0..MAX_COVERS).for_each(|number| covers.handle_wanted(id(number)));
        // Somebody scrolls down and up again, and nothing new is asked for meanwhile.
        for number in (0..MAX_COVERS).chain(0..MAX_COVERS / 2) {
            covers.get(&id(number));
        }
        for number in 0..MAX_COVERS / 2 {
            covers.handle_wanted(id(MAX_COVERS + number));
        }
        assert!((0..MAX_COVERS / 2).all(|number| covers.is_known(&id(number), 0.0)));
        assert!((MAX_COVERS / 2..MAX_COVERS).all(|number| !covers.is_known(&id(number), 0.0)));
    }

    #[test]
    fn a_cover_that_could_not_be_had_is_asked_for_again_later() {
        let mut covers = Covers::default();
        covers.handle_wanted(id(1));
        assert!(covers.is_known(&id(1), 1e6));
        covers.handle_cover(&Context::default(), 10.0, id(1), None);
        assert!(covers.is_known(&id(1), 39.0));
        assert!(!covers.is_known(&id(1), 40.0));
        covers.handle_wanted(id(1));
        assert!(covers.is_known(&id(1), 40.0));
        covers.handle_cover(&Context::default(), 41.0, id(1), Some(ColorImage::example()));
        assert!(covers.is_known(&id(1), 1e6));
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
        covers.handle_cover(&Context::default(), 0.0, id(1), Some(ColorImage::example()));
        assert!(covers.get(&id(1)).is_none());
        covers.handle_wanted(id(1));
        covers.handle_cover(&Context::default(), 0.0, id(1), Some(ColorImage::example()));
        assert!(covers.get(&id(1)).is_some());
    }

    fn id(number: usize) -> ContentId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
        ContentId(bytes)
    }
}
