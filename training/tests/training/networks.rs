//! The networks against their referees: the generator against `portrait_network::reference`, the gradient penalty
//! against finite differences.

use burn::backend::{Autodiff, Flex};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor, TensorData};
use portrait_files::config::{CriticConfig, Penalty};
use portrait_files::weights;
use portrait_network::{Activation, Graph, Layer, Model, Op, Plane, Spec, Upsampling, reference};
use portrait_training::Generator;
use portrait_training::internals::{Critic, gradient_penalty, penalty_of, values};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SIZES: [[usize; 2]; 6] = [[1, 1], [3, 8], [17, 5], [32, 32], [40, 24], [63, 66]];
const PLANE_SETS: [&[Plane]; 5] = [
    &[Plane::Color],
    &[Plane::Color, Plane::Normal],
    &[Plane::Color, Plane::Depth],
    &[Plane::Color, Plane::Normal, Plane::Depth],
    &[Plane::Color, Plane::Depth, Plane::Normal],
];

fn assert_agrees(model: &Model, [height, width]: [usize; 2]) {
    let mut rng = ChaCha8Rng::seed_from_u64(height as u64 * 1000 + width as u64);
    let channels = model.graph().spec().input_channels();
    let planes = reference::Tensor::from_fn(channels, height, width, |c, _, _| {
        if c < 3 { rng.random_range(0.0..1.0) } else { rng.random_range(-1.0..1.0) }
    });
    let expected = reference::forward(model, &planes).unwrap();
    let data = TensorData::new(planes.data, [1, channels, height, width]);
    let device = Default::default();
    let output = Generator::<Flex>::from_model(model, &device).forward(Tensor::from_data(data, &device));
    assert_eq!(output.dims(), [1, 3, height, width]);
    let worst = values(output).iter().zip(&expected.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-4, "{} at {height}×{width}: {worst}", model.graph().spec().name);
}

/// Makes a network with every operation, factor, stride, kernel, activation and upsampling that a spec can have.
fn every_op(inputs: &[Plane]) -> Graph {
    let spec = Spec {
        name: "every op".into(),
        inputs: inputs.to_vec(),
        layers: vec![
            Layer::new("unshuffle4", Op::SpaceToDepth { factor: 4 }),
            Layer::conv3x3("enc", 8, 1, Activation::Relu),
            Layer::conv3x3("down", 12, 2, Activation::LeakyRelu { slope: 0.1 }),
            Layer::new("down_point", Op::Conv { out_channels: 12, kernel: 1, stride: 2, activation: Activation::None }),
            Layer::new("wider", Op::Upsample { mode: Upsampling::Nearest }),
            Layer::new("wide", Op::Upsample { mode: Upsampling::Nearest }),
            Layer::new("joined", Op::Concat).from(&["wide", "enc"]),
            Layer::conv1x1("mix", 16, Activation::LeakyRelu { slope: 0.2 }),
            Layer::new("up", Op::Upsample { mode: Upsampling::PixelShuffle }),
            Layer::new("unshuffle2", Op::SpaceToDepth { factor: 2 }).from(&["input"]),
            Layer::conv3x3("skip", 4, 1, Activation::Relu),
            Layer::new("sum", Op::Add).from(&["up", "skip", "up"]),
            Layer::conv3x3("head", 12, 1, Activation::None),
            Layer::new("shuffle", Op::Upsample { mode: Upsampling::PixelShuffle }),
            Layer::new("output", Op::OutputResidual { scale: 0.3 }),
        ],
    };
    spec.validate().unwrap()
}

#[test]
fn generator_agrees_with_the_reference_for_every_plane_set_at_odd_and_aligned_sizes() {
    for (index, planes) in PLANE_SETS.into_iter().enumerate() {
        let model = Model::random(Spec::tiny(planes).validate().unwrap(), 40 + index as u64);
        for size in SIZES {
            assert_agrees(&model, size);
        }
    }
}

#[test]
fn generator_agrees_with_the_reference_for_every_operation() {
    for (index, planes) in PLANE_SETS.into_iter().enumerate() {
        let model = Model::random(every_op(planes), 7 + index as u64);
        for size in SIZES {
            assert_agrees(&model, size);
        }
    }
}

#[test]
fn generator_agrees_with_the_reference_for_the_quality_spec() {
    let model = Model::random(Spec::quality().validate().unwrap(), 3);
    for size in [[1, 1], [31, 45], [32, 48]] {
        assert_agrees(&model, size);
    }
}

#[test]
fn generator_agrees_with_the_reference_on_the_shipped_weights() {
    for name in ["quality", "fast"] {
        let path = format!("{}/../assets/weights/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
        let model = weights::load(path.as_ref()).unwrap_or_else(|error| {
            panic!(
                "the weights that ship cannot be read: {error}; train them with training/configs/{name}.toml and {name}_steady.toml, and \
                 write them with `portrait-train export`"
            )
        });
        for size in [[31, 45], [64, 64]] {
            assert_agrees(&model, size);
        }
    }
}

#[test]
fn weights_survive_the_way_to_the_device_and_back() {
    let model = Model::random(every_op(PLANE_SETS[3]), 1);
    let generator = Generator::<Flex>::from_model(&model, &Default::default());
    assert_eq!(generator.to_model(model.provenance.clone()).unwrap(), model);
}

#[test]
fn training_starts_near_the_identity() {
    let graph = Spec::quality().validate().unwrap();
    let device = Default::default();
    let channels = graph.spec().inputs.iter().map(|plane| plane.channels()).sum();
    let planes = Tensor::<Flex, 4>::full([1, channels, 32, 32], 0.7, &device);
    let output = Generator::<Flex>::initial(&graph, 1, &device).forward(planes);
    assert!(values(output).iter().all(|value| (value - 0.7).abs() < 0.02));
}

type Exact = Autodiff<Flex>;

/// A mapper that makes every parameter `f64` and adds `step` to one value of one parameter.
struct InF64 {
    parameter: usize,
    value: usize,
    step: f64,
    seen: usize,
}

impl ModuleMapper<Exact> for InF64 {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<Exact, D>>) -> Param<Tensor<Exact, D>> {
        let chosen = self.seen == self.parameter;
        self.seen += 1;
        param.map(|tensor| {
            let shape = tensor.dims();
            let mut data: Vec<f64> = tensor.clone().into_data().iter::<f64>().collect();
            if chosen {
                data[self.value] += self.step;
            }
            Tensor::from_data(TensorData::new(data, shape), (&tensor.device(), DType::F64)).require_grad()
        })
    }
}

/// A visitor that collects every parameter's gradient in `f64`, with the parameter's number of dimensions.
struct Gradients<'a> {
    gradients: &'a <Exact as burn::tensor::backend::AutodiffBackend>::Gradients,
    found: Vec<(usize, usize, Option<Vec<f64>>)>,
}

impl ModuleVisitor<Exact> for Gradients<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Exact, D>>) {
        let tensor = param.val();
        let gradient = tensor.grad(self.gradients).map(|gradient| gradient.into_data().iter::<f64>().collect());
        self.found.push((D, tensor.dims().iter().product(), gradient));
    }
}

fn moved(critic: &Critic<Exact>, parameter: usize, value: usize, step: f64) -> Critic<Exact> {
    critic.clone().map(&mut InF64 { parameter, value, step, seen: 0 })
}

/// Computes the penalty by ordinary autodiff through the critic's forward pass, which uses nothing of what is tested.
fn penalty_by_autodiff(critic: &Critic<Exact>, images: &Tensor<Flex, 4>, kind: Penalty) -> f64 {
    let images = Tensor::<Exact, 4>::from_inner(images.clone()).require_grad();
    let scores = critic.forward(images.clone());
    let [_, _, height, width] = scores.dims();
    let gradients = (scores.sum() / (height * width) as f64).backward();
    let penalty = penalty_of(images.grad(&gradients).unwrap(), kind);
    penalty.into_data().iter::<f64>().next().unwrap()
}

#[test]
fn gradient_penalty_agrees_with_central_differences_for_every_weight_of_every_critic_layer() {
    let step = 1e-6;
    let device = Default::default();
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    for (kind, [height, width]) in [(Penalty::Rms, [12, 12]), (Penalty::Rms, [13, 15]), (Penalty::L2, [12, 12])] {
        let config = CriticConfig { channels: vec![4, 5], ..CriticConfig::default() };
        let critic = moved(&Critic::<Exact>::initial(&config, &mut rng, &device), usize::MAX, 0, 0.0);
        let pixels: Vec<f64> = (0..2 * 3 * height * width).map(|_| rng.random()).collect();
        let images = TensorData::new(pixels, [2, 3, height, width]);
        let images = Tensor::<Flex, 4>::from_data(images, (&device, DType::F64));

        let penalty = gradient_penalty(&critic, images.clone(), kind);
        let value = penalty.clone().into_data().iter::<f64>().next().unwrap();
        let expected = penalty_by_autodiff(&critic, &images, kind);
        // Flex rounds the slope of its leaky ReLU to f32.
        assert!((value - expected).abs() <= 1e-7 * expected.abs(), "{kind:?}: {value} and {expected}");

        let gradients = penalty.backward();
        let mut visitor = Gradients { gradients: &gradients, found: Vec::new() };
        critic.visit(&mut visitor);
        assert_eq!(visitor.found.len(), 2 * 4, "a weight and a bias for each of the four layers");
        for (parameter, (dimensions, length, gradient)) in visitor.found.into_iter().enumerate() {
            let differences: Vec<f64> = (0..length)
                .map(|value| {
                    let at = |step| penalty_by_autodiff(&moved(&critic, parameter, value, step), &images, kind);
                    (at(step) - at(-step)) / (2.0 * step)
                })
                .collect();
            let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
            let size = norm(&mut differences.iter().copied());
            if dimensions == 1 {
                // A bias shifts sums; it changes the penalty only where an activation switches.
                assert!(size < 1e-7 && gradient.is_none_or(|values| values.iter().all(|value| *value == 0.0)));
                continue;
            }
            let gradient = gradient.unwrap();
            let error = norm(&mut gradient.iter().zip(&differences).map(|(a, b)| a - b)) / size;
            assert!(error < 1e-6, "{kind:?} {height}×{width}, parameter {parameter}: relative error {error:e}");
        }
    }
}
