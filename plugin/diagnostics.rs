//! What the effect takes, in Bevy's `DiagnosticsStore`. Nothing is measured unless the app has Bevy's
//! [`RenderDiagnosticsPlugin`](bevy::render::diagnostic::RenderDiagnosticsPlugin).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bevy::app::{App, Update};
use bevy::diagnostic::{Diagnostic, DiagnosticMeasurement, DiagnosticPath, DiagnosticsStore, RegisterDiagnostic};
use bevy::ecs::prelude::*;
use bevy::platform::time::Instant;
use bevy::render::diagnostic::DiagnosticsRecorder;
use bevy::render::{ExtractSchedule, MainWorld, RenderApp};

use crate::PortraitRealismPlugin;

/// The span around everything that the effect records for one camera. Bevy puts it, and the stages within, under
/// `render/`.
pub(crate) const SPAN: &str = "portrait";
/// Where Bevy writes the GPU's time of that span.
const SPAN_GPU: DiagnosticPath = DiagnosticPath::const_new("render/portrait/elapsed_gpu");

impl PortraitRealismPlugin {
    /// Milliseconds of CPU time that the effect takes in a frame, in the render world: preparing and recording, all cameras
    /// together. `portrait/cpu_ms`.
    ///
    /// Measured with Bevy's `RenderDiagnosticsPlugin`, as are the stages of each camera's largest face: copying it out of the
    /// frame, making the input planes, each layer by its name, and compositing. Bevy writes these as
    /// `render/portrait/<stage>/elapsed_cpu` and `render/portrait/<stage>/elapsed_gpu`, for example
    /// `render/portrait/pack/elapsed_gpu`. While they are measured each layer is a compute pass of its own, which costs a
    /// little on some devices.
    pub const CPU_MS: DiagnosticPath = DiagnosticPath::const_new("portrait/cpu_ms");

    /// Milliseconds that the effect takes on the GPU in a frame, all faces of all cameras together, a few frames late.
    /// `portrait/gpu_ms`.
    ///
    /// Measured with Bevy's `RenderDiagnosticsPlugin` on devices with time stamps between passes (Vulkan and DirectX 12).
    /// Empty where nothing is enhanced.
    pub const GPU_MS: DiagnosticPath = DiagnosticPath::const_new("portrait/gpu_ms");
}

/// CPU time of this frame so far, if somebody measures.
#[derive(Resource, Default)]
pub struct CpuTime {
    is_measured: AtomicBool,
    nanoseconds: AtomicU64,
}

impl CpuTime {
    /// Measures until the guard is dropped.
    pub fn measure(&self) -> Option<Measured<'_>> {
        self.is_measured.load(Ordering::Relaxed).then(|| Measured { time: self, since: Instant::now() })
    }
}

/// Time from its making to its dropping counts.
pub struct Measured<'a> {
    time: &'a CpuTime,
    since: Instant,
}

impl Drop for Measured<'_> {
    fn drop(&mut self) {
        let nanoseconds = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.time.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

pub(crate) fn register(app: &mut App) {
    for path in [PortraitRealismPlugin::CPU_MS, PortraitRealismPlugin::GPU_MS] {
        app.register_diagnostic(Diagnostic::new(path).with_suffix("ms"));
    }
    app.add_systems(Update, report_gpu_time);
    if let Some(render_app) = app.get_sub_app_mut(RenderApp) {
        render_app.init_resource::<CpuTime>().add_systems(ExtractSchedule, report_cpu_time);
    }
}

fn report(store: &mut DiagnosticsStore, path: &DiagnosticPath, time: Instant, value: f64) {
    if let Some(diagnostic) = store.get_mut(path).filter(|diagnostic| diagnostic.is_enabled) {
        diagnostic.add_measurement(DiagnosticMeasurement { time, value });
    }
}

/// Hands over what the frame before took, and looks whether the next one is to be measured.
fn report_cpu_time(mut main_world: ResMut<MainWorld>, time: Res<CpuTime>, recorder: Option<Res<DiagnosticsRecorder>>) {
    let nanoseconds = time.nanoseconds.swap(0, Ordering::Relaxed);
    let was_measured = time.is_measured.swap(recorder.is_some(), Ordering::Relaxed);
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
