//! Validates every shipped kernel, composed by naga, against the Rust side of its bindings.

use bevy::render::render_resource::{ShaderType, TextureFormat, WgpuLimits};
use bevy::shader::ShaderDefVal;
use bevy_portrait_realism::internals::base_layer::{self, BaseLayerKey};
use bevy_portrait_realism::internals::composite::{self, CompositeKey};
use bevy_portrait_realism::internals::keep_depth::{self, KeepDepthKey};
use bevy_portrait_realism::internals::layer::{self, LayerKey};
use bevy_portrait_realism::internals::pack::{self, PackKey};
use bevy_portrait_realism::internals::shaders::{
    BASE_LAYER, COMPOSITE, CONV_MATRIX, KEEP_DEPTH, PACK, SHAPE, ShaderFile, layer_file,
};
use bevy_portrait_realism::internals::shape::{self, ShapeKey};
use bevy_portrait_realism::internals::{
    ActivationFormat, Kernel, KernelVariant, LayerParams, MatrixSide, RegionUniform, WeightFormat,
};
use naga::valid::{Capabilities, ValidationFlags, Validator};

use crate::composing::compose;

/// Capabilities that kernels may use beyond core WGSL, where the device has them: reading f16, sharing within a subgroup, words of 8 bytes.
const CAPABILITIES: Capabilities =
    Capabilities::SHADER_FLOAT16_IN_FLOAT32.union(Capabilities::SUBGROUP).union(Capabilities::SHADER_INT64);
/// Capabilities of kernels that multiply in f16.
const HALF_PRODUCTS: Capabilities = CAPABILITIES.union(Capabilities::SHADER_FLOAT16);
/// Capabilities of kernels that multiply matrices.
const MATRICES: Capabilities = HALF_PRODUCTS.union(Capabilities::COOPERATIVE_MATRIX);
const FORMATS: [ActivationFormat; 2] = [ActivationFormat::F32, ActivationFormat::F16];

/// Validates the module, and returns the size of the struct in uniform binding 0 and the numbers of all bindings.
fn check(file: ShaderFile, defs: &[ShaderDefVal]) -> (u64, Vec<u32>) {
    check_sharing(file, defs, WgpuLimits::downlevel_defaults().max_compute_workgroup_storage_size)
}

/// Validates the module as [`check`] does, where a workgroup keeps at most `max_shared` bytes.
fn check_sharing(file: ShaderFile, defs: &[ShaderDefVal], max_shared: u32) -> (u64, Vec<u32>) {
    let multiplies_halves =
        defs.iter().any(|def| matches!(def, ShaderDefVal::Bool(name, true) if name == "HALF_PRODUCTS"));
    let capabilities = match file.path {
        path if path == CONV_MATRIX.path => MATRICES,
        _ if multiplies_halves => HALF_PRODUCTS,
        _ => CAPABILITIES,
    };
    let module = compose(file, defs, capabilities).unwrap_or_else(|error| panic!("{error}"));
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    validator.validate(&module).unwrap_or_else(|error| panic!("{} {defs:?}: {error:?}", file.path));
    let workgroup_memory =
        module.global_variables.iter().filter(|(_, global)| global.space == naga::AddressSpace::WorkGroup);
    let bytes: u32 = workgroup_memory.map(|(_, global)| module.types[global.ty].inner.size(module.to_ctx())).sum();
    assert!(bytes <= max_shared, "{} {defs:?}: {bytes} bytes of workgroup memory, {max_shared} expected", file.path);
    let mut bindings = Vec::new();
    let mut uniform_bytes = 0;
    for (_, global) in module.global_variables.iter() {
        let Some(binding) = &global.binding else { continue };
        assert_eq!(binding.group, 0, "{}", file.path);
        bindings.push(binding.binding);
        if global.space == naga::AddressSpace::Uniform {
            assert_eq!(binding.binding, 0, "{}", file.path);
            let naga::TypeInner::Struct { span, .. } = module.types[global.ty].inner else { panic!("a struct") };
            uniform_bytes = u64::from(span);
        }
    }
    bindings.sort_unstable();
    (uniform_bytes, bindings)
}

#[test]
fn every_layer_kernel_validates_and_agrees_with_rust() {
    let layer_bytes = LayerParams::min_size().get();
    let check_layer = |kernel, variant, weights, bindings: &[u32]| {
        let file = layer_file(kernel, variant);
        let key = LayerKey { kernel, variant, weights };
        assert_eq!(
            check_sharing(file, &layer::shader_defs(key), variant.workgroup_bytes()),
            (layer_bytes, bindings.to_vec()),
            "{key:?}"
        );
    };
    let eight = KernelVariant { matrices: Some(MatrixSide::Eight), ..KernelVariant::MATRICES };
    for variant in KernelVariant::FAMILY.into_iter().chain([eight]) {
        let ends = [(false, false), (true, false), (false, true), (true, true)];
        let shapes = [(1, 1), (1, 2), (3, 1), (3, 2)].into_iter().flat_map(|shape| ends.map(|end| (shape, end)));
        for ((kernel, stride), (shuffles, adds)) in shapes {
            let mut bindings = vec![0, 1, 2, 3];
            bindings.extend(adds.then_some(4));
            bindings.extend(variant.half_products.then_some(5));
            let all = (1..=6).flat_map(|tiles| [false, true].map(|half_empty| (tiles, half_empty)));
            let mut kinds: Vec<(u32, Option<u32>)> = all
                .map(|(out_tiles, is_half_empty)| {
                    let tiles = variant.tiles(kernel, out_tiles);
                    (tiles, (is_half_empty && !shuffles && tiles >= out_tiles).then_some(out_tiles * 2 - 1))
                })
                .collect();
            kinds.sort_unstable();
            kinds.dedup();
            let formats = [WeightFormat::F32, WeightFormat::F16];
            for ((tiles, known_planes), weights) in
                kinds.into_iter().flat_map(|kind| formats.map(|weights| (kind, weights)))
            {
                let kernel = Kernel::Conv { kernel, stride, shuffles, adds, tiles, known_planes };
                check_layer(kernel, variant, weights, &bindings);
            }
        }
    }
    for activations in FORMATS {
        let variant = KernelVariant { activations, ..KernelVariant::EXACT };
        for kernel in [Kernel::SpaceToDepth, Kernel::PixelShuffle, Kernel::Nearest] {
            check_layer(kernel, variant, WeightFormat::F32, &[0, 1, 3]);
        }
        for kernel in [Kernel::Copy, Kernel::Accumulate] {
            check_layer(kernel, variant, WeightFormat::F32, &[0, 1, 3]);
        }
        check_layer(Kernel::Add, variant, WeightFormat::F32, &[0, 1, 3, 4]);
    }
}

#[test]
fn pack_and_composite_validate_and_agree_with_rust() {
    let region_bytes = RegionUniform::min_size().get();
    for (multisampled, activations) in FORMATS.into_iter().flat_map(|format| [(false, format), (true, format)]) {
        for (normal_channel, depth_channel) in [(None, None), (Some(3), None), (None, Some(3)), (Some(4), Some(3))] {
            let mut expected = vec![0, 1, 2];
            expected.extend(normal_channel.map(|_| 3));
            expected.extend(depth_channel.map(|_| 4));
            expected.push(5);
            for unshuffled in [false, true] {
                let input_channels = 7;
                let key =
                    PackKey { input_channels, normal_channel, depth_channel, multisampled, activations, unshuffled };
                assert_eq!(check(PACK, &pack::shader_defs(key)), (region_bytes, expected.clone()), "{key:?}");
            }
        }
    }
    for (multisampled, activations) in FORMATS.into_iter().flat_map(|format| [(false, format), (true, format)]) {
        let key = CompositeKey { target: TextureFormat::Rgba8Unorm, activations, multisampled };
        assert_eq!(check(COMPOSITE, &composite::shader_defs(key)), (region_bytes, (0..10).collect()));
        let key = ShapeKey { activations, multisampled };
        assert_eq!(check(SHAPE, &shape::shader_defs(key)), (region_bytes, (0..7).collect()));
        let key = BaseLayerKey { activations };
        assert_eq!(check(BASE_LAYER, &base_layer::shader_defs(key)), (region_bytes, vec![0, 1, 2]));
        let key = KeepDepthKey { multisampled };
        assert_eq!(check(KEEP_DEPTH, &keep_depth::shader_defs(key)), (region_bytes, vec![0, 1, 2]));
    }
}
