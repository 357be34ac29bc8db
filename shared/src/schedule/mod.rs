//! The pure cores of streaming: what a viewer requests from whom, and whom an uploader serves next.
