//! Scratch memory on the GPU. Networks run one after the other, and each writes whatever it reads, so all of them share it: it is as large
//! as the largest need.

use std::cmp::Reverse;

use bevy::render::render_resource::{Buffer, BufferDescriptor, BufferUsages, Texture};
use bevy::render::renderer::RenderDevice;

use crate::inference::plan::Plan;
use crate::inference::texels::{ROW_BYTES, texture_descriptor};

/// The buffers and textures that the steps of all networks write and read.
#[derive(Default)]
pub struct ScratchMemory {
    /// Buffers, the largest first.
    buffers: Vec<Buffer>,
    /// The textures that a step's sources are copied into, if a network reads textures.
    textures: Option<[Texture; 2]>,
    /// The need that the buffers and textures were made for.
    size: Need,
    version: u64,
}

/// Sizes of scratch memory.
#[derive(Clone, Debug, Default, PartialEq)]
struct Need {
    /// Bytes of each buffer, the largest first.
    buffer_bytes: Vec<u64>,
    /// Rows of the textures; zero where there are none.
    texture_heights: [u32; 2],
}

impl Need {
    fn of(plan: &Plan) -> Self {
        let mut buffer_bytes = plan.buffer_bytes.clone();
        buffer_bytes.sort_by_key(|&bytes| Reverse(bytes));
        Self { buffer_bytes, texture_heights: plan.texture_heights }
    }

    /// Returns what holds either of two.
    fn or(mut self, other: Self) -> Self {
        let buffers = self.buffer_bytes.len().max(other.buffer_bytes.len());
        self.buffer_bytes.resize(buffers, 0);
        self.buffer_bytes.iter_mut().zip(other.buffer_bytes).for_each(|(most, bytes)| *most = bytes.max(*most));
        self.texture_heights = std::array::from_fn(|at| self.texture_heights[at].max(other.texture_heights[at]));
        self
    }

    fn bytes(&self) -> u64 {
        let rows: u32 = self.texture_heights.iter().sum();
        self.buffer_bytes.iter().sum::<u64>() + u64::from(rows) * u64::from(ROW_BYTES)
    }
}

impl ScratchMemory {
    /// Makes room for a plan.
    pub(crate) fn reserve(&mut self, plan: &Plan, device: &RenderDevice) {
        self.resize(self.size.clone().or(Need::of(plan)), device);
    }

    /// Gives back what none of these plans needs.
    pub(crate) fn trim<'a>(&mut self, plans: impl Iterator<Item = &'a Plan>, device: &RenderDevice) {
        self.resize(plans.map(Need::of).fold(Need::default(), Need::or), device);
    }

    /// Makes anew what does not have the size that is needed.
    fn resize(&mut self, need: Need, device: &RenderDevice) {
        if need == self.size {
            return;
        }
        self.buffers.truncate(need.buffer_bytes.len());
        for (at, &size) in need.buffer_bytes.iter().enumerate() {
            if self.buffers.get(at).is_some_and(|buffer| buffer.size() == size) {
                continue;
            }
            let buffer = device.create_buffer(&BufferDescriptor {
                label: Some("portrait scratch"),
                size,
                // Copies are for textures, tests and tools: nothing is read back in a frame.
                usage: BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            match self.buffers.get_mut(at) {
                Some(held) => *held = buffer,
                None => self.buffers.push(buffer),
            }
        }
        if need.texture_heights != self.size.texture_heights {
            let heights = Some(need.texture_heights).filter(|heights| *heights != [0; 2]);
            self.textures = heights.map(|heights| {
                heights.map(|height| device.create_texture(&texture_descriptor("portrait sources", height)))
            });
        }
        self.size = need;
        self.version += 1;
    }

    /// Returns the buffers of a plan that room was made for, in the plan's order.
    pub(crate) fn buffers(&self, plan: &Plan) -> Vec<Buffer> {
        let mut by_size: Vec<usize> = (0..plan.buffer_bytes.len()).collect();
        by_size.sort_by_key(|&at| Reverse(plan.buffer_bytes[at]));
        let mut placed: Vec<(usize, &Buffer)> = by_size.into_iter().zip(&self.buffers).collect();
        placed.sort_by_key(|&(at, _)| at);
        placed.into_iter().map(|(_, buffer)| buffer.clone()).collect()
    }

    /// Returns the textures that a step's two sources are copied into, if a plan that room was made for reads textures.
    pub(crate) fn textures(&self, plan: &Plan) -> Option<[Texture; 2]> {
        self.textures.clone().filter(|_| plan.variant.reads_textures)
    }

    /// Returns a number that is another one whenever buffers or textures were made anew.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Returns the GPU memory held, in bytes.
    pub fn bytes(&self) -> u64 {
        self.size.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(buffer_bytes: &[u64], texture_heights: [u32; 2]) -> Need {
        Need { buffer_bytes: buffer_bytes.to_vec(), texture_heights }
    }

    #[test]
    fn networks_share_memory_that_is_as_large_as_the_largest_need() {
        let (deep, wide) = (need(&[40, 30, 20, 10], [3, 5]), need(&[50, 25], [0; 2]));
        let both = deep.clone().or(wide.clone());
        assert_eq!(both, need(&[50, 30, 20, 10], [3, 5]));
        assert_eq!(wide.or(deep.clone()), both, "in any order");
        assert!(both.buffer_bytes.is_sorted_by(|a, b| a >= b), "the largest stays first");
        assert_eq!(deep.clone().or(deep.clone()), deep, "a second network of the same shape needs nothing more");
        assert_eq!(both.bytes(), 110 + 8 * u64::from(ROW_BYTES));
    }
}
