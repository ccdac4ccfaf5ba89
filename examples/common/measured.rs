//! What the effect costs.

use bevy::diagnostic::DiagnosticsStore;

/// Milliseconds that the effect's passes take on the GPU, or to record where the GPU has no timer. Needs Bevy's
/// `RenderDiagnosticsPlugin`.
pub fn portrait_ms(diagnostics: &DiagnosticsStore) -> f64 {
    let sum = |clock: &str| -> f64 {
        let passes = diagnostics.iter().filter(|diagnostic| {
            let path = diagnostic.path().as_str();
            path.contains("/portrait/") && path.ends_with(clock)
        });
        passes.filter_map(|diagnostic| diagnostic.smoothed()).sum()
    };
    match sum("elapsed_gpu") {
        0.0 => sum("elapsed_cpu"),
        gpu => gpu,
    }
}
