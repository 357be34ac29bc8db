//! The few FFmpeg calls that have no safe wrapper.
//!
//! Invariant: all unsafe code of the crate is in this file, every function is safe to call with any argument, and no
//! raw pointer leaves it.
#![expect(unsafe_code, reason = "ffmpeg-next wraps neither stream discard, index entries nor colour details")]

use ffmpeg_next::{
    color,
    ffi::{
        AVDiscard, AVINDEX_KEYFRAME, avformat_index_get_entries_count, avformat_index_get_entry,
        sws_getCoefficients, sws_setColorspaceDetails,
    },
    format::context::Input,
    software::scaling,
};

/// One entry of a container's own seek index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    /// In the stream's time base.
    pub(crate) ticks: i64,
    pub(crate) byte: u64,
    pub(crate) keyframe: bool,
}

/// Makes the demuxer skip every stream that is not in `keep`, so that cover art and other languages cost nothing.
pub(crate) fn keep_only_streams(input: &mut Input, keep: &[usize]) {
    let count = input.nb_streams() as usize;
    // SAFETY: `input` owns its context for the whole call; `streams` has `nb_streams` valid entries, and `discard` is
    // a plain field the caller of libavformat may set between reads.
    unsafe {
        let context = input.as_mut_ptr();
        for index in 0..count {
            let stream = *(*context).streams.add(index);
            if !stream.is_null() {
                (*stream).discard = if keep.contains(&index) {
                    AVDiscard::AVDISCARD_DEFAULT
                } else {
                    AVDiscard::AVDISCARD_ALL
                };
            }
        }
    }
}

/// The container's own index of one stream, empty where it has none (yet).
pub(crate) fn index_entries(input: &mut Input, stream: usize) -> Vec<IndexEntry> {
    if stream >= input.nb_streams() as usize {
        return Vec::new();
    }
    // SAFETY: the stream index was checked, the context is borrowed exclusively, and each entry is copied out before
    // the next call, which may invalidate it; a null entry ends the walk.
    unsafe {
        let stream = *(*input.as_mut_ptr()).streams.add(stream);
        if stream.is_null() {
            return Vec::new();
        }
        (0..avformat_index_get_entries_count(stream))
            .map_while(|at| {
                let entry = avformat_index_get_entry(stream, at).as_ref()?;
                Some(IndexEntry {
                    ticks: entry.timestamp,
                    byte: u64::try_from(entry.pos).unwrap_or(0),
                    keyframe: entry.flags() & AVINDEX_KEYFRAME != 0,
                })
            })
            .collect()
    }
}

/// Tells the scaler which matrix and range the picture was coded with; without this everything is taken for BT.601.
pub(crate) fn set_source_colours(scaler: &mut scaling::Context, space: color::Space, full_range: bool) {
    // The SWS_CS_* numbers are the ITU ones that `AVColorSpace` uses as well.
    const MATRICES: [(color::Space, i32); 5] = [
        (color::Space::BT709, 1),
        (color::Space::FCC, 4),
        (color::Space::SMPTE240M, 7),
        (color::Space::BT2020NCL, 9),
        (color::Space::BT2020CL, 9),
    ];
    let matrix = MATRICES.iter().find(|(known, _)| *known == space).map_or(5, |(_, number)| *number);
    // SAFETY: the scaler is a valid context borrowed exclusively; the coefficient tables are static. A refusal (a
    // negative answer for formats without a matrix) leaves the scaler as it was.
    unsafe {
        let coefficients = sws_getCoefficients(matrix);
        let rgb = sws_getCoefficients(5);
        sws_setColorspaceDetails(
            scaler.as_mut_ptr(),
            coefficients,
            i32::from(full_range),
            rgb,
            1,
            0,
            1 << 16,
            1 << 16,
        );
    }
}
