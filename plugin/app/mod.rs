//! The systems of the main world.

pub(crate) mod bevy_0_19;
pub(crate) mod cameras;
pub(crate) mod marking;
pub(crate) mod own_weights;
