//! Which tier each camera is drawn with, and how the main world hears of it.

use bevy::ecs::entity::EntityHashMap;
use bevy::ecs::prelude::*;
use bevy::log::warn_once;
use bevy::render::MainWorld;
use bevy::render::render_resource::CommandEncoder;
use bevy::render::renderer::{RenderDevice, RenderQueue};

use crate::auto_quality::{AutoQuality, Measurement};
use crate::gpu_state::PortraitGpuState;
use crate::gpu_timer::GpuTimer;
use crate::quality::{PortraitQuality, PortraitStatus, QualityTier};
use crate::region::Region;

/// Tiers of all cameras.
#[derive(Default)]
pub(crate) struct CameraTiers {
    /// Those that are measured, by entity of the render world.
    auto: EntityHashMap<AutoCamera>,
    /// By entity of the main world.
    reports: EntityHashMap<PortraitStatus>,
}

struct AutoCamera {
    controller: AutoQuality,
    /// A measurement without its milliseconds is the label.
    timer: GpuTimer<Measurement>,
}

impl CameraTiers {
    /// Takes what has been measured; `quality` of a camera that still exists.
    pub fn begin_frame(&mut self, quality: impl Fn(Entity) -> Option<PortraitQuality>) {
        self.reports.values_mut().for_each(|report| *report = PortraitStatus::default());
        self.auto.retain(|&camera, auto| {
            let Some(PortraitQuality::Auto { budget_ms }) = quality(camera) else { return false };
            auto.controller.set_budget(budget_ms);
            for (label, ms) in auto.timer.arrived() {
                auto.controller.record(Measurement { ms, ..label });
            }
            true
        });
    }

    /// The tier that a camera is drawn with in this frame.
    pub fn tier(
        &mut self,
        camera: Entity,
        quality: PortraitQuality,
        device: &RenderDevice,
        queue: &RenderQueue,
    ) -> QualityTier {
        match quality {
            PortraitQuality::Fast => QualityTier::Fast,
            PortraitQuality::Balanced => QualityTier::Balanced,
            PortraitQuality::Quality => QualityTier::Quality,
            PortraitQuality::Auto { .. } if !GpuTimer::<Measurement>::is_supported(device) => {
                warn_once!(
                    "portrait realism: `PortraitQuality::Auto` needs time stamps, which this device or Bevy's \
                     `WgpuSettings` lacks: it is `Balanced`"
                );
                QualityTier::Balanced
            }
            PortraitQuality::Auto { budget_ms } => {
                let auto = self.auto.entry(camera).or_insert_with(|| AutoCamera {
                    controller: AutoQuality::new(budget_ms),
                    timer: GpuTimer::new(device, queue),
                });
                auto.controller.tier()
            }
        }
    }

    /// Says what a camera is drawn with, and has it measured if its tier depends on it. The number is for
    /// [`end`](Self::end).
    pub fn draw<'a>(
        &mut self,
        camera: Entity,
        main_camera: Entity,
        tier: QualityTier,
        regions: impl Iterator<Item = &'a Region> + Clone,
    ) -> Option<usize> {
        let auto = self.auto.get_mut(&camera);
        let gpu_ms = auto.as_ref().and_then(|auto| auto.controller.ms());
        let largest = regions.clone().next().map(Region::network_px).unwrap_or_default();
        self.reports.insert(main_camera, PortraitStatus { tier: Some(tier), network_px: largest, gpu_ms });
        let network_pixels = QualityTier::ALL
            .map(|tier| regions.clone().map(|region| region.network_px_within(tier.most_px()).element_product()).sum());
        auto?.timer.claim(Measurement { ms: 0.0, tier, network_pixels })
    }

    /// Where a measured camera's commands begin.
    pub fn begin(&self, camera: Entity, encoder: &mut CommandEncoder) {
        if let Some(auto) = self.auto.get(&camera) {
            auto.timer.begin(encoder);
        }
    }

    /// Where they end.
    pub fn end(&self, camera: Entity, claimed: usize, encoder: &mut CommandEncoder) {
        if let Some(auto) = self.auto.get(&camera) {
            auto.timer.end(encoder, claimed);
        }
    }
}

/// Tells the main world what the last frame was drawn with.
pub(crate) fn report_tiers(mut main_world: ResMut<MainWorld>, mut state: ResMut<PortraitGpuState>) {
    state.tiers.reports.retain(|&camera, report| {
        if let Some(mut status) = main_world.get_mut::<PortraitStatus>(camera) {
            status.set_if_neq(*report);
        }
        report.tier.is_some()
    });
}
