//! What happens to the residual between the network and the composite pass, where a user asks for it: its broad and its fine part have
//! factors of their own, and last frame's residual steadies this one's.

use bevy::ecs::entity::Entity;
use bevy::math::UVec2;
use bevy::platform::collections::HashMap;
use bevy::render::render_resource::{Buffer, BufferDescriptor, BufferUsages};
use bevy::render::renderer::RenderDevice;

use crate::region::Region;
use crate::variant::ActivationFormat;

/// Points of light along the longer side of a region are at most this many steps apart: what is wider than a step is light, what is
/// narrower detail.
const LIGHT_STEPS: u32 = 16;
/// Most points that a grid has in all.
const MOST_POINTS: u64 = (LIGHT_STEPS as u64 + 2) * (LIGHT_STEPS as u64 + 2);
/// A region that changes its size by more than this factor shows something else.
const MOST_ZOOM: f32 = 1.5;

/// Distance of the points at which the broad part of a residual of `network_px` pixels is known.
pub(crate) fn light_step(network_px: UVec2) -> u32 {
    network_px.max_element().div_ceil(LIGHT_STEPS).max(1)
}

/// How many points that makes, with one beyond the last pixel.
pub(crate) fn light_points(network_px: UVec2) -> UVec2 {
    (network_px.max(UVec2::ONE) - 1) / light_step(network_px) + 2
}

/// Whose residual is kept: a camera's of the render world, a face's of the main world.
pub(crate) type HistoryKey = (Entity, Entity);

/// Where a residual lies that is kept from one frame to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Kept {
    pub region: Region,
    pub padded_px: UVec2,
}

/// The last residual of a face in a camera.
pub(crate) struct History {
    pub buffer: Buffer,
    format: ActivationFormat,
    kept: Option<Kept>,
    frame: u64,
}

impl History {
    /// What may be reused for a region in `frame`: that of the frame before, unless the face has jumped since.
    fn usable(&self, region: &Region, frame: u64) -> Option<Kept> {
        self.kept.filter(|kept| self.frame + 1 == frame && is_continued(&kept.region, region))
    }
}

/// Whether a region may show the same as another did a frame before.
fn is_continued(before: &Region, now: &Region) -> bool {
    let zoom = now.rect_px.size().as_vec2().max_element() / before.rect_px.size().as_vec2().max_element();
    !before.rect_px.intersect(now.rect_px).is_empty() && zoom <= MOST_ZOOM && zoom >= MOST_ZOOM.recip()
}

/// Memory for shaping. There is none while nobody asks for it.
#[derive(Default)]
pub(crate) struct Shaping {
    shaped: Option<Buffer>,
    light: Option<Buffer>,
    histories: HashMap<HistoryKey, History>,
    frame: u64,
}

impl Shaping {
    pub fn begin_frame(&mut self) {
        self.frame += 1;
        // A face may be unseen for one frame; its memory is not kept for longer.
        let frame = self.frame;
        self.histories.retain(|_, history| history.frame + 2 > frame);
    }

    /// Gives back what nobody uses.
    pub fn clear(&mut self) {
        *self = Self { frame: self.frame, ..Self::default() };
    }

    /// The shaped residual and the points of light, with room for residuals of `bytes`.
    pub fn reserve(&mut self, bytes: u64, device: &RenderDevice) -> [Buffer; 2] {
        let shaped = match self.shaped.take().filter(|buffer| buffer.size() >= bytes) {
            Some(held) => held,
            None => buffer("portrait shaped residual", bytes, device),
        };
        let light = self.light.take().unwrap_or_else(|| buffer("portrait light", MOST_POINTS * 16, device));
        self.shaped = Some(shaped.clone());
        self.light = Some(light.clone());
        [shaped, light]
    }

    /// A face's history with room for a residual of `bytes`, and what of the last frame may be used. It will hold `now`.
    pub fn history(
        &mut self,
        key: HistoryKey,
        now: Kept,
        format: ActivationFormat,
        bytes: u64,
        reset: bool,
        device: &RenderDevice,
    ) -> (Buffer, Option<Kept>) {
        let frame = self.frame;
        let held = self.histories.remove(&key);
        let mut history =
            held.filter(|held| held.buffer.size() >= bytes && held.format == format).unwrap_or_else(|| History {
                buffer: buffer("portrait history", bytes, device),
                format,
                kept: None,
                frame,
            });
        let usable = history.usable(&now.region, frame).filter(|_| !reset);
        (history.kept, history.frame) = (Some(now), frame);
        let buffer = history.buffer.clone();
        self.histories.insert(key, history);
        (buffer, usable)
    }

    /// GPU memory held, in bytes.
    pub fn bytes(&self) -> u64 {
        let histories = self.histories.values().map(|history| &history.buffer);
        self.shaped.iter().chain(&self.light).chain(histories).map(|buffer| buffer.size()).sum()
    }
}

fn buffer(label: &str, size: u64, device: &RenderDevice) -> Buffer {
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
    device.create_buffer(&BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false })
}

#[cfg(test)]
mod tests {
    use bevy::math::URect;

    use super::*;

    fn region(x: u32, side: u32) -> Region {
        Region { rect_px: URect::new(x, 0, x + side, side), fading_sides: [true; 4], scale: 8 }
    }

    #[test]
    fn points_of_light_reach_past_the_last_pixel() {
        for side in 1..=512 {
            let size = UVec2::new(side, side.div_ceil(3));
            let (step, points) = (light_step(size), light_points(size));
            assert!((points - 1).cmpge((size - 1) / step + 1).all(), "{size} {step} {points}");
            assert!(u64::from(points.element_product()) <= MOST_POINTS, "{size}: {points}");
        }
    }

    #[test]
    fn cuts_and_zooms_begin_anew() {
        assert!(is_continued(&region(0, 100), &region(16, 104)));
        assert!(!is_continued(&region(0, 100), &region(104, 100)), "beside it");
        assert!(!is_continued(&region(0, 100), &region(0, 160)), "nearer");
        assert!(!is_continued(&region(0, 160), &region(0, 100)), "farther");
    }
}
