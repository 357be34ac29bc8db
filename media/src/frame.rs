//! A picture ready to be shown.

/// One decoded video frame, scaled to its display size, in straight RGBA.
#[derive(Clone)]
pub struct VideoFrame {
    /// Grows by one with each frame that is shown; `0` is never used.
    pub id: u64,
    /// Presentation time from the start of the file.
    pub pts_ms: i64,
    /// Display width in pixels: sample aspect ratio and rotation are already applied.
    pub width: u32,
    /// Display height in pixels.
    pub height: u32,
    /// `width * height * 4` bytes, rows from the top, no padding.
    pub rgba: Vec<u8>,
}

impl std::fmt::Debug for VideoFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VideoFrame(#{} at {} ms, {}x{})", self.id, self.pts_ms, self.width, self.height)
    }
}
