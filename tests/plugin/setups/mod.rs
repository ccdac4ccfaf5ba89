//! The effect in every set-up that Bevy has for a camera.

mod anti_aliasing;
mod cameras;
mod geometry;
mod ordering;
mod overlays;
mod post_process;
mod targets;
mod tone_mapping;
pub mod twins;
