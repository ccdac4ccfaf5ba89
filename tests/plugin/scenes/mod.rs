//! Other people's scenes: whatever is in a scene beside the face, and however its cameras draw, only the face changes.

mod canvases;
mod hair;
mod heads;
mod materials;
mod pipelined;
mod prepasses;
mod still;
mod transparent;
