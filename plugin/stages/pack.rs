//! The pack stage: the region copy, and the prepasses that the network reads, become the network's input planes. Where the region is
//! scaled down it also writes the guide: the first rendered image as the network sees it. Detail of the frame that the guide lacks is
//! detail that the network did not see, and the composite stage leaves it as it is.

use bevy::render::render_resource::binding_types::{storage_buffer_sized, uniform_buffer};
use bevy::render::render_resource::{
    BindGroup, BindGroupLayoutDescriptor, Buffer, BufferDescriptor, BufferUsages, DynamicBindGroupLayoutEntries,
    ShaderStages,
};
use bevy::render::renderer::RenderDevice;
use bevy::shader::ShaderDefVal;
use portrait_network::{Graph, Plane};

use crate::inference::fusion::input_is_unshuffled;
use crate::inference::variant::ActivationFormat;
use crate::shader_defs::{activation_def, define, depth_texture, multisampled_def, texel_texture, workgroup_side};
use crate::stages::bind_groups::{Binder, Binding};
use crate::stages::region_uniform::RegionUniform;
use crate::stages::resources::StageResources;

/// Key that the kernel is specialised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PackKey {
    /// Channels of the input planes.
    pub input_channels: u32,
    /// First channel of the normals, if the network reads them.
    pub normal_channel: Option<u32>,
    /// Channel of the depth, if the network reads it.
    pub depth_channel: Option<u32>,
    /// True if the prepass textures are multisampled.
    pub multisampled: bool,
    /// How the planes are stored.
    pub activations: ActivationFormat,
    /// True if the planes are made in the order of a first space-to-depth layer of factor 2.
    pub unshuffled: bool,
}

impl PackKey {
    /// Returns the key for a network's input planes.
    pub fn new(graph: &Graph, multisampled: bool, activations: ActivationFormat) -> Self {
        let spec = graph.spec();
        let channel_of = |wanted: Plane| {
            let at = spec.inputs.iter().position(|&plane| plane == wanted)?;
            Some(spec.inputs[..at].iter().map(|plane| plane.channels() as u32).sum())
        };
        let (normal_channel, depth_channel) = (channel_of(Plane::Normal), channel_of(Plane::Depth));
        Self {
            input_channels: spec.input_channels() as u32,
            normal_channel,
            depth_channel,
            // One pipeline is enough where no prepass is read.
            multisampled: multisampled && (normal_channel.is_some() || depth_channel.is_some()),
            activations,
            unshuffled: input_is_unshuffled(graph),
        }
    }
}

/// Declares what the kernel binds.
pub(crate) fn layout(key: PackKey) -> BindGroupLayoutDescriptor {
    let mut entries = DynamicBindGroupLayoutEntries::new_with_indices(
        ShaderStages::COMPUTE,
        (
            (0, uniform_buffer::<RegionUniform>(true)),
            (1, texel_texture(false)),
            (2, storage_buffer_sized(false, None)),
            (5, storage_buffer_sized(false, None)),
        ),
    );
    if key.normal_channel.is_some() {
        entries = entries.extend_with_indices(((3, texel_texture(key.multisampled)),));
    }
    if key.depth_channel.is_some() {
        entries = entries.extend_with_indices(((4, depth_texture(key.multisampled)),));
    }
    BindGroupLayoutDescriptor::new("portrait pack", &entries)
}

/// Defines the kernel's variant.
pub fn shader_defs(key: PackKey) -> Vec<ShaderDefVal> {
    let mut defs = vec![workgroup_side(), define("INPUT_CHANNELS", key.input_channels)];
    defs.extend(activation_def(key.activations));
    defs.extend(key.normal_channel.map(|channel| define("NORMAL_CHANNEL", channel)));
    defs.extend(key.depth_channel.map(|channel| define("DEPTH_CHANNEL", channel)));
    defs.extend(key.unshuffled.then(|| "UNSHUFFLED".into()));
    defs.extend(multisampled_def(key.multisampled));
    defs
}

/// Binds a view's textures and its network's input, for all of its regions.
pub(crate) fn bind(key: PackKey, resources: &StageResources, binder: &mut Binder) -> BindGroup {
    let mut bindings = vec![
        (0, resources.region()),
        (1, Binding::Texture(resources.region_copy)),
        (2, Binding::Buffer(resources.input_planes)),
        (5, Binding::Buffer(resources.guide)),
    ];
    let normals = resources.normals.filter(|_| key.normal_channel.is_some());
    bindings.extend(normals.map(|normals| (3, Binding::Texture(normals))));
    bindings.extend(key.depth_channel.map(|_| (4, Binding::Texture(resources.depths))));
    binder.bind("portrait pack", &layout(key), &bindings)
}

/// Bytes of a pixel of the guide: display-referred sRGB, 8 bits a channel.
const GUIDE_PIXEL_BYTES: u64 = 4;

/// The guide of the region that is being enhanced. Regions are enhanced one after the other and share it.
pub(crate) struct Guide {
    pub buffer: Buffer,
}

impl Guide {
    /// Makes room for regions that are scaled down to `max_px` pixels a side. A minimal buffer is made even for 0, because the layouts
    /// require one.
    pub fn reserve(held: &mut Option<Self>, max_px: u32, device: &RenderDevice) {
        let size = (u64::from(max_px) * u64::from(max_px)).max(1) * GUIDE_PIXEL_BYTES;
        if held.as_ref().is_some_and(|guide| guide.bytes() >= size) {
            return;
        }
        let buffer = device.create_buffer(&BufferDescriptor {
            label: Some("portrait guide"),
            size,
            usage: BufferUsages::STORAGE,
            mapped_at_creation: false,
        });
        *held = Some(Self { buffer });
    }

    pub fn bytes(&self) -> u64 {
        self.buffer.size()
    }
}
