//! The resolution that each camera is drawn with.

use bevy::ecs::entity::EntityHashMap;
use bevy::ecs::prelude::*;
use bevy::log::warn_once;
use bevy::render::render_resource::CommandEncoder;
use bevy::render::renderer::{RenderDevice, RenderQueue};

use crate::api::resolution::{PortraitResolution, ResolutionTier};
use crate::api::status::PortraitStatus;
use crate::auto::controller::{AutoResolution, Measurement};
use crate::auto::gpu_timer::GpuTimer;
use crate::region::Region;

/// The resolutions of all cameras.
#[derive(Default)]
pub(crate) struct CameraTiers {
    /// Cameras that are measured, by entity of the render world.
    auto: EntityHashMap<AutoCamera>,
    /// Reports for the main world, by entity of the main world.
    reports: EntityHashMap<PortraitStatus>,
}

struct AutoCamera {
    controller: AutoResolution,
    /// Its label is a measurement whose milliseconds are still missing.
    timer: GpuTimer<Measurement>,
}

impl CameraTiers {
    /// Takes what has been measured. `resolution` returns the setting of a camera that still exists.
    pub fn begin_frame(&mut self, resolution: impl Fn(Entity) -> Option<PortraitResolution>) {
        self.reports.values_mut().for_each(|report| *report = PortraitStatus::default());
        self.auto.retain(|&camera, auto| {
            let Some(PortraitResolution::Auto { budget_ms }) = resolution(camera) else { return false };
            auto.controller.set_budget(budget_ms);
            for (label, ms) in auto.timer.arrived() {
                auto.controller.record(Measurement { ms, ..label });
            }
            true
        });
    }

    /// Returns the resolution that a camera is drawn with in this frame.
    pub fn tier(
        &mut self,
        camera: Entity,
        resolution: PortraitResolution,
        device: &RenderDevice,
        queue: &RenderQueue,
    ) -> ResolutionTier {
        match resolution {
            PortraitResolution::Low => ResolutionTier::Low,
            PortraitResolution::Medium => ResolutionTier::Medium,
            PortraitResolution::High => ResolutionTier::High,
            PortraitResolution::Auto { .. } if !GpuTimer::<Measurement>::is_supported(device) => {
                warn_once!(
                    "portrait realism: `PortraitResolution::Auto` needs time stamps, which this device or Bevy's \
                     `WgpuSettings` lacks: it is `Medium`"
                );
                ResolutionTier::Medium
            }
            PortraitResolution::Auto { budget_ms } => {
                let auto = self.auto.entry(camera).or_insert_with(|| AutoCamera {
                    controller: AutoResolution::new(budget_ms),
                    timer: GpuTimer::new(device, queue),
                });
                auto.controller.tier()
            }
        }
    }

    /// Notes what a camera is drawn with, and has the frame measured if its resolution depends on it. The number that is returned is for
    /// [`end`](Self::end).
    pub fn draw<'a>(
        &mut self,
        camera: Entity,
        main_camera: Entity,
        tier: ResolutionTier,
        regions: impl Iterator<Item = &'a Region> + Clone,
    ) -> Option<usize> {
        let auto = self.auto.get_mut(&camera);
        let gpu_ms = auto.as_ref().and_then(|auto| auto.controller.ms());
        let (faces, largest) = (regions.clone().count(), regions.clone().next().map(Region::network_px));
        let network_px = largest.unwrap_or_default();
        self.reports.insert(main_camera, PortraitStatus { tier: Some(tier), faces, network_px, gpu_ms });
        let network_pixels = ResolutionTier::ALL
            .map(|tier| regions.clone().map(|region| region.network_px_within(tier.max_px()).element_product()).sum());
        auto?.timer.claim(Measurement { ms: 0.0, tier, network_pixels })
    }

    /// Hands over what the last frame was drawn with, camera by camera. A camera without a tier is reported once and then forgotten.
    pub fn report(&mut self, mut send: impl FnMut(Entity, PortraitStatus)) {
        self.reports.retain(|&camera, report| {
            send(camera, *report);
            report.tier.is_some()
        });
    }

    /// Records where a measured camera's commands begin.
    pub fn begin(&self, camera: Entity, encoder: &mut CommandEncoder) {
        if let Some(auto) = self.auto.get(&camera) {
            auto.timer.begin(encoder);
        }
    }

    /// Records where a measured camera's commands end.
    pub fn end(&self, camera: Entity, claimed: usize, encoder: &mut CommandEncoder) {
        if let Some(auto) = self.auto.get(&camera) {
            auto.timer.end(encoder, claimed);
        }
    }
}
