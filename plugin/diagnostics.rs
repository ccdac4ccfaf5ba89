//! The time that the effect takes, in Bevy's `DiagnosticsStore`. Nothing is measured unless the app has Bevy's
//! [`RenderDiagnosticsPlugin`](bevy::render::diagnostic::RenderDiagnosticsPlugin).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bevy::app::{App, Update};
use bevy::diagnostic::{Diagnostic, DiagnosticMeasurement, DiagnosticPath, DiagnosticsStore, RegisterDiagnostic};
use bevy::ecs::prelude::*;
use bevy::platform::time::Instant;
use bevy::render::diagnostic::DiagnosticsRecorder;
use bevy::render::{ExtractSchedule, MainWorld, RenderApp};

use crate::api::plugin::PortraitRealismPlugin;

/// The span around everything that the effect records for one camera. Bevy puts it, and the stages within, under
/// `render/`.
pub(crate) const SPAN: &str = "portrait";
/// Where Bevy writes the GPU's time of that span.
const SPAN_GPU: DiagnosticPath = DiagnosticPath::const_new("render/portrait/elapsed_gpu");

/// CPU time that the effect has taken in this frame so far, if it is measured.
#[derive(Resource, Default)]
pub struct CpuTime {
    is_measured: AtomicBool,
    nanoseconds: Arc<AtomicU64>,
}

impl CpuTime {
    /// Measures until the guard is dropped, if anything is measured.
    pub fn measure(&self) -> Option<Measured> {
        let is_measured = self.is_measured.load(Ordering::Relaxed);
        is_measured.then(|| Measured { nanoseconds: self.nanoseconds.clone(), since: Instant::now() })
    }
}

/// Counts the time from its making to its dropping.
pub struct Measured {
    nanoseconds: Arc<AtomicU64>,
    since: Instant,
}

impl Drop for Measured {
    fn drop(&mut self) {
        let nanoseconds = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

pub(crate) fn register(app: &mut App) {
    for path in [PortraitRealismPlugin::CPU_MS, PortraitRealismPlugin::GPU_MS] {
        app.register_diagnostic(Diagnostic::new(path).with_suffix("ms"));
    }
    app.add_systems(Update, report_gpu_time);
    if let Some(render_app) = app.get_sub_app_mut(RenderApp) {
        render_app
            .init_resource::<CpuTime>()
            .add_systems(ExtractSchedule, report_cpu_time.run_if(resource_exists::<DiagnosticsRecorder>));
    }
}

fn report(store: &mut DiagnosticsStore, path: &DiagnosticPath, time: Instant, value: f64) {
    if let Some(diagnostic) = store.get_mut(path).filter(|diagnostic| diagnostic.is_enabled) {
        diagnostic.add_measurement(DiagnosticMeasurement { time, value });
    }
}

/// Hands over the time that the frame before took. Where Bevy records diagnostics, all frames from the first on are measured.
fn report_cpu_time(mut main_world: ResMut<MainWorld>, time: Res<CpuTime>) {
    let nanoseconds = time.nanoseconds.swap(0, Ordering::Relaxed);
    let was_measured = time.is_measured.swap(true, Ordering::Relaxed);
    if was_measured && let Some(mut store) = main_world.get_resource_mut::<DiagnosticsStore>() {
        let ms = Duration::from_nanos(nanoseconds).as_secs_f64() * 1000.0;
        report(&mut store, &PortraitRealismPlugin::CPU_MS, Instant::now(), ms);
    }
}

/// Adds up what Bevy measured of a frame: one span for each camera, all handed over at the same instant.
fn report_gpu_time(mut store: ResMut<DiagnosticsStore>, mut last: Local<Option<Instant>>) {
    let Some(spans) = store.get(&SPAN_GPU) else { return };
    let Some(time) = spans.measurement().map(|latest| latest.time).filter(|time| *last != Some(*time)) else { return };
    let ms = spans.measurements().filter(|span| span.time == time).map(|span| span.value).sum();
    *last = Some(time);
    report(&mut store, &PortraitRealismPlugin::GPU_MS, time, ms);
}
