//! Compares the shipped kernels, run by the shipped plan, with `portrait_network::reference`.

use std::cell::RefCell;
use std::sync::Arc;

use bevy::ecs::system::SystemState;
use bevy::prelude::*;
use bevy::render::render_resource::{CommandEncoderDescriptor, PipelineCache, WgpuFeatures};
use bevy::render::renderer::{RenderDevice, RenderQueue};
use bevy_portrait_realism::internals::Executor;
use bevy_portrait_realism::internals::GpuPortraitModel;
use bevy_portrait_realism::internals::WeightFormat;
use bevy_portrait_realism::internals::{ActivationFormat, KernelVariant};
use bevy_portrait_realism::internals::{PortraitPipelineCache, PortraitPipelines, Readiness, ScratchMemory};
use bevy_portrait_realism::prelude::*;
use half::f16;
use portrait_network::reference::{Tensor, forward};
use portrait_network::transfer::normalize_color;
use portrait_network::{Activation, Dtype, Graph, Layer, Model, Op, Plane, Spec, Upsampling};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::common::{headless, headless_without, read_planes, render_world_mut};

#[path = "../../network/tests/random_spec/mod.rs"]
mod random_spec;

/// Number of random networks that each of two variants is tried with.
const RANDOM_NETWORKS: u32 = 12;

/// Environment variable that is set where the device is meant to have cooperative matrices.
const REQUIRES_MATRICES: &str = "PORTRAIT_REQUIRES_MATRICES";

/// Returns the maximum difference allowed between the GPU and the reference, in display-referred sRGB. For f16 the maximum is half a step of
/// 255, or a whole step where the products are f16 as well; for the large residuals of random weights it grows in proportion.
fn tolerance(variant: KernelVariant, largest_residual: f32) -> f32 {
    match (variant.activations, variant.half_products) {
        (ActivationFormat::F32, _) => 1e-4,
        (ActivationFormat::F16, false) => 0.5 / 255.0 * largest_residual.max(1.0),
        (ActivationFormat::F16, true) => 1.0 / 255.0 * largest_residual.max(1.0),
    }
}

/// Returns values in the form in which buffers hold them.
fn encode(values: &[f32], format: ActivationFormat) -> Vec<u8> {
    match format {
        ActivationFormat::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        ActivationFormat::F16 => values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
    }
}

/// Returns a network that uses every operation, kernel size, stride and activation.
fn every_op(inputs: &[Plane]) -> Spec {
    let leaky = Activation::LeakyRelu { slope: 0.2 };
    Spec {
        name: "every_op".into(),
        inputs: inputs.to_vec(),
        layers: vec![
            Layer::new("unshuffle", Op::SpaceToDepth { factor: 4 }),
            Layer::conv3x3("a", 12, 1, leaky),
            Layer::conv1x1("b", 12, Activation::None).from(&["unshuffle"]),
            Layer::conv1x1("c", 12, Activation::Relu).from(&["a"]),
            Layer::new("sum", Op::Add).from(&["a", "b", "c", "a"]),
            Layer::new("joined", Op::Concat).from(&["sum", "b", "a"]),
            Layer::conv3x3("down", 20, 2, leaky),
            Layer::new("half", Op::Conv { out_channels: 16, kernel: 1, stride: 2, activation: leaky }),
            Layer::new("up1", Op::Upsample { mode: Upsampling::Nearest }),
            Layer::new("up0", Op::Upsample { mode: Upsampling::Nearest }),
            Layer::conv1x1("lift", 48, Activation::None),
            Layer::new("shuffle1", Op::Upsample { mode: Upsampling::PixelShuffle }),
            Layer::new("shuffle0", Op::Upsample { mode: Upsampling::PixelShuffle }),
            Layer::new("out", Op::OutputResidual { scale: 0.05 }),
        ],
    }
}

/// Returns noise of 0–1 from a position and a seed.
fn noise(seed: u32, c: usize, y: usize, x: usize) -> f32 {
    let spread = |at: usize, by: u32| (at as u32 + 1).wrapping_mul(by);
    let mut value = seed ^ spread(c, 0x9E37_79B1) ^ spread(y, 0x85EB_CA77) ^ spread(x, 0xC2B2_AE3D);
    for _ in 0..3 {
        value ^= value >> 15;
        value = value.wrapping_mul(0x2C1B_3C6D);
    }
    (value >> 8) as f32 / (1 << 24) as f32
}

/// Runs the plan for `planes` and returns the second rendered image, as the reference does.
fn run_on_gpu(world: &mut World, network: &mut Executor, model: &Model, planes: &Tensor) -> Tensor {
    let network_px = UVec2::new(planes.width as u32, planes.height as u32);
    let (padded, layout) = (network.plan().padded_px(network_px), network.plan().input_layout(network_px));
    let format = network.plan().variant.activations;
    let unshuffled = network.plan().input_is_unshuffled;
    let input_planes = if unshuffled { planes.channels } else { planes.channels.div_ceil(4) };
    let mut input = vec![0.0; input_planes * layout.plane_texels() as usize * 4];
    for c in 0..planes.channels {
        for y in 0..padded.y {
            for x in 0..padded.x {
                let value = planes.at(c, (y as usize).min(planes.height - 1), (x as usize).min(planes.width - 1));
                let value = if c < 3 { normalize_color(value) } else { value };
                let pixel = UVec2::new(x, y);
                let (texel, lane) = match unshuffled {
                    true => (layout.index(c, pixel / 2), y % 2 * 2 + x % 2),
                    false => (layout.index(c / 4, pixel), c as u32 % 4),
                };
                input[texel * 4 + lane as usize] = value;
            }
        }
    }
    let queue = world.resource::<RenderQueue>();
    let device = world.resource::<RenderDevice>();
    queue.write_buffer(network.input(), 0, &encode(&input, format));
    let slot = network.slots() - 1;
    network.write_params(slot, network_px, queue);
    let mut encoder = device.create_command_encoder(&CommandEncoderDescriptor::default());
    let cache = world.resource::<PipelineCache>();
    assert!(network.record(slot, network_px, &mut encoder, cache, None), "the plan runs");
    queue.submit([encoder.finish()]);
    let layout = network.plan().residual_layout(network_px);
    let residual = read_planes(device, queue, network.residual(), format);
    let scale = network.plan().residual_scale;
    assert_eq!(planes.channels, model.graph().spec().input_channels());
    Tensor::from_fn(3, planes.height, planes.width, |c, y, x| {
        planes.at(c, y, x) + scale * residual[layout.index(0, UVec2::new(x as u32, y as u32)) * 4 + c]
    })
}

/// Makes a network on the GPU with room for `capacity_px`, ready to run.
fn network(app: &mut App, model: &Arc<Model>, capacity_px: UVec2) -> Executor {
    // The first frame sets the renderer up.
    app.update();
    let world = render_world_mut(app);
    let gpu = GpuPortraitModel::new(model.clone(), world.resource(), world.resource(), world.resource())
        .expect("weights fit");
    let mut params = SystemState::<(
        Res<RenderDevice>,
        Res<PipelineCache>,
        Res<PortraitPipelines>,
        ResMut<PortraitPipelineCache>,
    )>::new(world);
    let network = {
        let (device, cache, pipelines, mut pipeline_cache) = params.get_mut(world).expect("the plugin's resources");
        let (room, mut memory) = ((capacity_px, 2), ScratchMemory::default());
        Executor::new(&gpu, room, &mut memory, &device, &cache, &pipelines, &mut pipeline_cache).expect("planes fit")
    };
    for _ in 0..500 {
        app.update();
        match network.readiness(render_world_mut(app).resource::<PipelineCache>()) {
            Readiness::Ready => return network,
            Readiness::Failed => panic!("a kernel does not compile"),
            Readiness::Compiling => std::thread::sleep(std::time::Duration::from_millis(5)),
        }
    }
    panic!("kernels are still being compiled");
}

fn assert_matches_reference(app: &mut App, graph: Graph, capacity_px: UVec2, sizes: &[UVec2]) {
    let name = graph.spec().name.clone();
    let model = Arc::new(Model::random(graph, 11));
    assert_model_matches_reference(app, &name, &model, capacity_px, sizes);
}

fn assert_model_matches_reference(app: &mut App, name: &str, model: &Arc<Model>, capacity_px: UVec2, sizes: &[UVec2]) {
    let mut network = network(app, model, capacity_px);
    let mut spread: f32 = 0.0;
    for (seed, &size) in sizes.iter().enumerate() {
        let [error, residual] = differences(app, &mut network, model, seed as u32 + 1, size);
        spread = residual.max(spread);
        println!("{name} at {size}: largest residual {spread:.2}, largest difference {error:.1e}");
        let max = tolerance(network.plan().variant, spread);
        assert!(error <= max, "{name} at {size}: differs by {error}, {max} allowed");
    }
    assert!(spread > 1e-3, "{name}: a residual of {spread} proves nothing");
}

/// Returns the largest difference from the reference, and the largest residual, for noise of this seed and size.
fn differences(app: &mut App, network: &mut Executor, model: &Model, seed: u32, size: UVec2) -> [f32; 2] {
    let channels = model.graph().spec().input_channels();
    let planes = Tensor::from_fn(channels, size.y as usize, size.x as usize, |c, y, x| {
        let value = noise(seed, c, y, x);
        if c < 3 { value } else { value * 2.0 - 1.0 }
    });
    let expected = forward(model, &planes).expect("planes fit the spec");
    let found = run_on_gpu(render_world_mut(app), network, model, &planes);
    let largest = |a: &Tensor, b: &Tensor| a.data.iter().zip(&b.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    [largest(&expected, &found), largest(&expected, &planes)]
}

const SIZES: [UVec2; 6] =
    [UVec2::new(1, 1), UVec2::new(7, 5), UVec2::new(33, 65), UVec2::new(64, 64), UVec2::new(64, 1), UVec2::new(61, 40)];

/// Returns every variant of the kernels, with or without matrices, that the device runs. Variants that it cannot run are named on standard
/// output.
fn variants(app: &mut App, with_matrices: bool) -> Vec<KernelVariant> {
    app.update();
    let world = render_world_mut(app);
    let runs = |variant: &KernelVariant| match variant.missing_on(world.resource(), world.resource()) {
        Some(missing) => {
            println!("not run, because this device lacks {missing}: {variant:?}");
            false
        }
        None => true,
    };
    KernelVariant::FAMILY
        .into_iter()
        .filter(|variant| variant.matrices.is_some() == with_matrices)
        .map(|variant| variant.fitted(world.resource()))
        .filter(runs)
        .collect()
}

/// Returns the device's own variant and the exact one, since every network is tested in both.
fn own_and_exact(app: &mut App) -> [KernelVariant; 2] {
    app.update();
    [render_world_mut(app).resource::<PortraitPipelines>().variant, KernelVariant::EXACT]
}

fn choose(app: &mut App, variant: KernelVariant) {
    render_world_mut(app).resource_mut::<PortraitPipelines>().variant = variant;
}

#[test]
fn every_operation_and_plane_set_matches_the_reference_at_every_size() {
    let mut app = headless("assets", true);
    use Plane::{Color, Depth, Normal};
    for variant in own_and_exact(&mut app) {
        choose(&mut app, variant);
        for inputs in [vec![Color], vec![Color, Depth], vec![Color, Normal, Depth], vec![Color, Depth, Normal]] {
            let graph = every_op(&inputs).validate().expect("a valid spec");
            assert_matches_reference(&mut app, graph, UVec2::new(64, 65), &SIZES);
        }
    }
}

#[test]
fn every_variant_of_the_kernels_matches_the_reference() {
    let mut app = headless("assets", true);
    for variant in variants(&mut app, false) {
        assert_variant_matches_reference(&mut app, variant);
    }
}

#[test]
fn every_variant_with_matrices_matches_the_reference() {
    let mut app = headless("assets", true);
    let variants = variants(&mut app, true);
    let has_to = std::env::var_os(REQUIRES_MATRICES).is_some();
    assert!(!has_to || !variants.is_empty(), "no kernel with cooperative matrices runs on this device");
    for variant in variants {
        assert_variant_matches_reference(&mut app, variant);
    }
}

fn assert_variant_matches_reference(app: &mut App, variant: KernelVariant) {
    choose(app, variant);
    println!("{variant:?}");
    for spec in [every_op(&[Plane::Color]), Spec::tiny(&[Plane::Color])] {
        let exact = Model::random(spec.validate().expect("a valid spec"), 11);
        let file = exact.to_bytes(Dtype::F16).expect("a file");
        let halves = Model::from_bytes(&file).expect("the same file");
        assert_eq!(WeightFormat::of(&halves), WeightFormat::F16);
        for (name, model) in [(&*spec.name, exact), ("the same in f16", halves)] {
            assert_model_matches_reference(app, name, &Arc::new(model), UVec2::new(64, 65), &SIZES);
        }
    }
    if variant.half_products {
        // The weights decide if the variant is exact enough.
        let model = PortraitModel::quality().expect("the shipped weights").0;
        assert_model_matches_reference(app, "quality", &model, UVec2::new(64, 65), &[UVec2::new(61, 40)]);
    }
}

#[test]
fn networks_with_random_and_with_shipped_weights_match_the_reference() {
    let mut app = headless("assets", true);
    for variant in own_and_exact(&mut app) {
        choose(&mut app, variant);
        for (name, model) in [("quality", PortraitModel::quality()), ("fast", PortraitModel::fast())] {
            let model = model.expect("the shipped weights").0;
            assert_matches_reference(&mut app, model.graph().clone(), UVec2::new(64, 65), &SIZES);
            assert_model_matches_reference(&mut app, name, &model, UVec2::new(64, 65), &SIZES);
        }
    }
}

#[test]
fn networks_match_the_reference_in_buffers_that_are_too_large() {
    let mut app = headless("assets", true);
    for variant in own_and_exact(&mut app) {
        choose(&mut app, variant);
        let graph = Spec::tiny(&[Plane::Color, Plane::Normal]).validate().expect("a valid spec");
        assert_matches_reference(&mut app, graph, UVec2::new(200, 190), &SIZES);
        let graph = Spec::quality().validate().expect("a valid spec");
        assert_matches_reference(&mut app, graph, UVec2::new(200, 190), &[UVec2::new(152, 130)]);
    }
}

#[test]
fn a_device_that_lacks_something_runs_other_kernels() {
    let variant = |missing| {
        let mut app = headless_without(missing, "assets", true);
        app.update();
        let world = render_world_mut(&mut app);
        (world.resource::<PortraitPipelines>().variant, KernelVariant::of(world.resource(), world.resource()))
    };
    let (found, own) = variant(WgpuFeatures::empty());
    assert_eq!(found, own);
    assert_ne!(own, KernelVariant::EXACT, "else nothing is shown below");
    let (found, own) = variant(WgpuFeatures::SHADER_INT64);
    assert_eq!(found, own);
    assert!(!found.reads_textures);
}

/// Tests networks of every shape, in the exact kernels and in those that compile fastest.
#[test]
fn random_networks_match_the_reference_at_random_sizes() {
    let app = RefCell::new(headless("assets", true));
    app.borrow_mut().update();
    for variant in [KernelVariant::EXACT, KernelVariant::CPU_SMALL] {
        choose(&mut app.borrow_mut(), variant);
        let config = ProptestConfig { cases: RANDOM_NETWORKS, failure_persistence: None, ..ProptestConfig::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let ran = runner.run(&(vec(any::<u8>(), 0..80), 1_u32..72, 1_u32..72), |(bytes, width, height)| {
            let graph = random_spec::spec(&bytes).validate().expect("a valid spec");
            let (size, model) = (UVec2::new(width, height), Arc::new(Model::random(graph, 7)));
            let app = &mut app.borrow_mut();
            let mut network = network(app, &model, size);
            let [error, residual] = differences(app, &mut network, &model, 3, size);
            // The deeper a network, the more roundings.
            let max = 2.0 * tolerance(variant, residual) * residual.max(1.0);
            prop_assert!(error <= max, "differs by {} with residuals up to {}, {} allowed", error, residual, max);
            Ok(())
        });
        ran.unwrap_or_else(|error| panic!("{variant:?}: {error}"));
    }
}
