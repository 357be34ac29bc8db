//! Covers as textures: which are here, which were asked for, and a bound on how many.
//!
//! Invariant: at most [`MAX_COVERS`] textures; the ones longest out of sight go first. Fetching is the backend's.

use std::collections::BTreeMap;

use egui::{ColorImage, Context, TextureHandle, TextureOptions};
use shared::ContentId;

/// The most covers kept: some 250 kB each.
pub const MAX_COVERS: usize = 192;

/// The covers known to the window.
#[derive(Default)]
pub struct Covers {
    known: BTreeMap<ContentId, Slot>,
    clock: u64,
}

struct Slot {
    texture: Option<TextureHandle>,
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

    /// Whether it was asked for already.
    pub fn is_known(&self, content_id: &ContentId) -> bool {
        self.known.contains_key(content_id)
    }

    /// Notes that it was asked for, and forgets the longest unseen if there are too many.
    pub fn handle_wanted(&mut self, content_id: ContentId) {
        self.clock += 1;
        self.known.insert(content_id, Slot { texture: None, last_wanted: self.clock });
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
            slot.texture = image.map(|image| ctx.load_texture(name, image, TextureOptions::LINEAR));
        }
    }
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
