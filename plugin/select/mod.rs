//! Which faces of which views are enhanced, and where.

pub(crate) mod choose;
pub(crate) mod view_volume;
pub(crate) mod view_work;
