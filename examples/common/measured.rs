//! The cost of the effect, from Bevy's diagnostics.

use bevy::diagnostic::DiagnosticsStore;
use bevy_portrait_realism::PortraitRealismPlugin;

/// Returns the milliseconds that the effect takes on the GPU, or on the CPU where the GPU has no timer.
pub fn portrait_ms(diagnostics: &DiagnosticsStore) -> f64 {
    let ms = |path| diagnostics.get(&path).and_then(|diagnostic| diagnostic.smoothed());
    ms(PortraitRealismPlugin::GPU_MS).or_else(|| ms(PortraitRealismPlugin::CPU_MS)).unwrap_or_default()
}
