//! The parts of the main world that extraction reads.

use bevy::ecs::system::SystemParam;

use crate::extract::boundless::Reasons;
use crate::extract::parts::Parts;
use crate::extract::sight::Sights;

/// The main world, as far as it matters to faces and exclusions.
#[derive(SystemParam)]
pub(crate) struct MainScene<'w, 's> {
    pub parts: Parts<'w, 's>,
    pub sights: Sights<'w, 's>,
    pub reasons: Reasons<'w, 's>,
}
