//! The choice of kernels.

use std::env;
use std::path::PathBuf;

use bevy::ecs::prelude::*;

/// Chooses the kernels that run the network. Insert it into the [`App`](bevy::app::App) before the app runs. Weights and picture stay the
/// same but for rounding.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PortraitKernels {
    /// Runs the kernels that suit the kind of device. Nothing is tried out and no file is written. The default.
    #[default]
    Suited,
    /// Tries out the kernels that may be the fastest on the device, once the app has started: on a thread, with a second device of its
    /// own, while frames go on with the suited ones. Costs some seconds of GPU time in the background at each start, or at the first one
    /// if the outcome is remembered.
    Fastest {
        /// File that remembers the fastest kernels of each adapter and driver. A file that cannot be read is made anew. `None`: nothing is
        /// remembered.
        remembered_in: Option<PathBuf>,
    },
}

impl PortraitKernels {
    /// Tries kernels out, and remembers the fastest in `bevy_portrait_realism/kernels.json` in the user's cache folder, if the system has
    /// one.
    pub fn fastest() -> Self {
        let remembered_in = cache_folder().map(|folder| folder.join("bevy_portrait_realism").join("kernels.json"));
        Self::Fastest { remembered_in }
    }
}

/// Returns the user's folder for what can be made again.
fn cache_folder() -> Option<PathBuf> {
    let named = |variable| env::var_os(variable).map(PathBuf::from).filter(|folder| folder.is_absolute());
    if cfg!(target_os = "windows") {
        named("LOCALAPPDATA")
    } else if cfg!(target_vendor = "apple") {
        env::home_dir().map(|home| home.join("Library/Caches"))
    } else {
        named("XDG_CACHE_HOME").or_else(|| env::home_dir().map(|home| home.join(".cache")))
    }
}
