//! Pictures of the window, saved at a steady pace: for machines without a screen, and for telling a story.
//!
//! Invariant: one picture at a time; files are numbered by the second they show. Encoding happens off the egui thread.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use egui::{ColorImage, Context, ScreenshotCallback, ViewportCommand};

/// The shortest pause between pictures.
const MIN_EVERY_SECONDS: f64 = 0.25;

/// Takes pictures.
#[derive(Debug)]
pub(super) struct Capture {
    folder: PathBuf,
    every: f64,
    next: f64,
    is_busy: Arc<AtomicBool>,
}

impl Capture {
    pub(super) fn new(folder: PathBuf, every: f64) -> Self {
        let every = if every.is_finite() { every.max(MIN_EVERY_SECONDS) } else { MIN_EVERY_SECONDS };
        Self { folder, every, next: every, is_busy: Arc::default() }
    }

    /// Takes a picture if one is due; returns the seconds until the next.
    pub(super) fn handle_timeout(&mut self, ctx: &Context, now: f64) -> f64 {
        if now >= self.next && !self.is_busy.swap(true, Ordering::AcqRel) {
            let (path, is_busy) =
                (self.folder.join(format!("window-{now:06.1}s.png")), Arc::clone(&self.is_busy));
            let save = move |image: Arc<ColorImage>| save_in_background(path, image, is_busy);
            ctx.send_viewport_cmd(ViewportCommand::Screenshot(ScreenshotCallback::new(save)));
            self.next = now + self.every;
        }
        (self.next - now).max(0.05)
    }
}

fn save_in_background(path: PathBuf, image: Arc<ColorImage>, is_busy: Arc<AtomicBool>) {
    let is_free = Arc::clone(&is_busy);
    let work = move || {
        match save(&path, &image) {
            Ok(()) => tracing::info!(path = %path.display(), "picture of the window saved"),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot save a picture of the window")
            }
        }
        is_free.store(false, Ordering::Release);
    };
    if let Err(error) = std::thread::Builder::new().name("screenshot".to_owned()).spawn(work) {
        tracing::warn!(%error, "no thread to save a picture of the window");
        is_busy.store(false, Ordering::Release);
    }
}

fn save(path: &std::path::Path, image: &ColorImage) -> image::ImageResult<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(image::ImageError::IoError)?;
    }
    let [width, height] = image.size.map(|side| side as u32);
    // Opaque: what lies behind a window is not part of its picture.
    let rgb: Vec<u8> =
        image.as_raw().chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    image::save_buffer(path, &rgb, width, height, image::ExtendedColorType::Rgb8)?;
    Ok(())
}
