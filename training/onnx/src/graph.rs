//! Layers → ONNX nodes.

use portrait_network::transfer::{COLOR_CENTER, COLOR_SCALE};
use portrait_network::{Activation, Graph, Model, Op, Source, Upsampling};
use prost::Message;

use crate::proto::{
    Attribute, Dimension, FLOAT, GraphProto, INT64, Length, ModelProto, NodeProto, OperatorSetId, TensorProto,
    TensorShape, TensorType, TypeProto, ValueInfo,
};

/// Version of the format that has this opset.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;
const INPUT: &str = "planes";
const NORMALIZED: &str = "normalized";
const OUTPUT: &str = "second";

/// Encodes a model as the content of an ONNX file.
pub fn encode(model: &Model) -> Vec<u8> {
    let graph = model.graph();
    let channels = graph.spec().input_channels();
    let mut writer = Writer::default();
    writer.normalize(channels);
    let mut weights = model.convs().iter();
    for (index, (layer, node)) in graph.spec().layers.iter().zip(graph.nodes()).enumerate() {
        let sources: Vec<&str> = node.sources.iter().map(|&source| name_of(graph, source)).collect();
        let (name, first) = (layer.name.as_str(), sources[0]);
        match layer.op {
            Op::Conv { out_channels, kernel, stride, activation } => {
                let Some(conv) = weights.next() else { unreachable!("a model holds weights for each convolution") };
                let taps = kernel * kernel;
                // ONNX orders the channels of a block otherwise; the weights that read them are put in that order for free.
                let weight = match block_order(graph, node.sources[0]) {
                    Some(order) => reordered(&conv.weight, node.in_channels, taps, &order),
                    None => conv.weight.clone(),
                };
                let weight = writer.floats(
                    &format!("{name}.weight"),
                    &[out_channels, node.in_channels, kernel, kernel],
                    &weight,
                );
                let bias = writer.floats(&format!("{name}.bias"), &[out_channels], &conv.bias);
                let attributes = vec![
                    Attribute::ints("kernel_shape", &[kernel as i64; 2]),
                    Attribute::ints("strides", &[stride as i64; 2]),
                    Attribute::ints("pads", &[(kernel / 2) as i64; 4]),
                ];
                let sum = if activation == Activation::None { name.into() } else { format!("{name}_sum") };
                writer.node("Conv", &[first, &weight, &bias], &sum, attributes);
                match activation {
                    Activation::None => {}
                    Activation::Relu => writer.node("Relu", &[&sum], name, Vec::new()),
                    Activation::LeakyRelu { slope } => {
                        writer.node("LeakyRelu", &[&sum], name, vec![Attribute::float("alpha", slope)]);
                    }
                }
            }
            Op::SpaceToDepth { factor } => {
                let block = vec![Attribute::int("blocksize", factor as i64)];
                // Readers other than convolutions need the channels themselves in the spec's order.
                if only_convs_read(graph, index) {
                    writer.node("SpaceToDepth", &[first], name, block);
                } else {
                    let blocks = format!("{name}_blocks");
                    writer.node("SpaceToDepth", &[first], &blocks, block);
                    let order = inverse(&spec_channels(node.channels, factor));
                    let order = writer.integers(&format!("{name}_order"), &order);
                    writer.node("Gather", &[&blocks, &order], name, vec![Attribute::int("axis", 1)]);
                }
            }
            Op::Upsample { mode: Upsampling::PixelShuffle } => {
                let attributes = vec![Attribute::int("blocksize", 2), Attribute::text("mode", "CRD")];
                writer.node("DepthToSpace", &[first], name, attributes);
            }
            Op::Upsample { mode: Upsampling::Nearest } => {
                let scales = writer.floats(&format!("{name}_scales"), &[4], &[1.0, 1.0, 2.0, 2.0]);
                // Together these repeat each pixel twice in both directions.
                let attributes = vec![
                    Attribute::text("mode", "nearest"),
                    Attribute::text("coordinate_transformation_mode", "asymmetric"),
                    Attribute::text("nearest_mode", "floor"),
                ];
                writer.node("Resize", &[first, "", &scales], name, attributes);
            }
            Op::Concat => writer.node("Concat", &sources, name, vec![Attribute::int("axis", 1)]),
            Op::Add => {
                // ONNX's `Add` takes two: the last one has the layer's name.
                let mut sum = first.to_string();
                for (index, source) in sources.iter().enumerate().skip(1) {
                    let last = index + 1 == sources.len();
                    let next = if last { name.into() } else { format!("{name}_{index}") };
                    writer.node("Add", &[&sum, source], &next, Vec::new());
                    sum = next;
                }
            }
            Op::OutputResidual { scale } => writer.add_to_color(first, scale, channels),
        }
    }
    writer.model(&graph.spec().name, channels).encode_to_vec()
}

fn name_of(graph: &Graph, source: Source) -> &str {
    match source {
        Source::Input => NORMALIZED,
        Source::Layer(index) => &graph.spec().layers[index].name,
    }
}

/// Returns the spec's channel for each channel of ONNX's `SpaceToDepth`, which puts the place in the block before the channel.
fn spec_channels(channels: usize, factor: usize) -> Vec<usize> {
    let area = factor * factor;
    let count = channels / area;
    (0..channels).map(|channel| channel % count * area + channel / count).collect()
}

fn inverse(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    order.iter().enumerate().for_each(|(at, &channel)| inverse[channel] = at);
    inverse
}

/// Tells whether the weights of a layer's readers can be put in order instead of the layer's channels.
fn only_convs_read(graph: &Graph, layer: usize) -> bool {
    let readers = graph.nodes().iter().zip(&graph.spec().layers);
    let mut readers = readers.filter(|(node, _)| node.sources.contains(&Source::Layer(layer)));
    readers.all(|(_, reader)| matches!(reader.op, Op::Conv { .. }))
}

/// Returns the spec's channels in the order in which a convolution finds them, if that is another order.
fn block_order(graph: &Graph, source: Source) -> Option<Vec<usize>> {
    let Source::Layer(index) = source else { return None };
    match graph.spec().layers[index].op {
        Op::SpaceToDepth { factor } if only_convs_read(graph, index) => {
            Some(spec_channels(graph.nodes()[index].channels, factor))
        }
        _ => None,
    }
}

/// Puts weights `[out, in, taps]` in another order of `in`.
fn reordered(weight: &[f32], in_channels: usize, taps: usize, order: &[usize]) -> Vec<f32> {
    let outs = weight.chunks(in_channels * taps);
    outs.flat_map(|out| order.iter().flat_map(|&channel| &out[channel * taps..(channel + 1) * taps])).copied().collect()
}

#[derive(Default)]
struct Writer {
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
}

impl Writer {
    fn node(&mut self, op: &str, inputs: &[&str], output: &str, attribute: Vec<Attribute>) {
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|&input| input.into()).collect(),
            output: vec![output.into()],
            name: format!("{output}_{op}"),
            op_type: op.into(),
            attribute,
        });
    }

    fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) -> String {
        self.initializer(name, dims, FLOAT, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn integers(&mut self, name: &str, values: &[usize]) -> String {
        let bytes = values.iter().flat_map(|&value| (value as i64).to_le_bytes()).collect();
        self.initializer(name, &[values.len()], INT64, bytes)
    }

    fn initializer(&mut self, name: &str, dims: &[usize], data_type: i32, raw_data: Vec<u8>) -> String {
        let dims = dims.iter().map(|&dim| dim as i64).collect();
        self.initializers.push(TensorProto { dims, data_type, name: name.into(), raw_data });
        name.into()
    }

    /// Adds the steps from planes to what the first layer reads: only colour changes.
    fn normalize(&mut self, channels: usize) {
        let per_channel = |color: f32, other: f32| -> Vec<f32> {
            (0..channels).map(|channel| if channel < 3 { color } else { other }).collect()
        };
        let dims = [1, channels, 1, 1];
        let center = self.floats("color_center", &dims, &per_channel(COLOR_CENTER, 0.0));
        let scale = self.floats("color_scale", &dims, &per_channel(COLOR_SCALE, 1.0));
        self.node("Sub", &[INPUT, &center], "centered", Vec::new());
        self.node("Mul", &["centered", &scale], NORMALIZED, Vec::new());
    }

    /// Adds the steps of colour + scale · residual.
    fn add_to_color(&mut self, residual: &str, scale: f32, channels: usize) {
        let scale = self.floats("residual_scale", &[1], &[scale]);
        self.node("Mul", &[residual, &scale], "change", Vec::new());
        let mut color = INPUT;
        if channels > 3 {
            let (start, end, axis) = (
                self.integers("color_start", &[0]),
                self.integers("color_end", &[3]),
                self.integers("color_axis", &[1]),
            );
            color = "color";
            self.node("Slice", &[INPUT, &start, &end, &axis], color, Vec::new());
        }
        self.node("Add", &[color, "change"], OUTPUT, Vec::new());
    }

    fn model(self, name: &str, channels: usize) -> ModelProto {
        let image = |name: &str, channels: usize| {
            let free = |name: &str| Length::Free(name.into());
            let lengths = [Length::Fixed(1), Length::Fixed(channels as i64), free("height"), free("width")];
            let dim = lengths.map(|length| Dimension { length: Some(length) }).into();
            let tensor = TensorType { elem_type: FLOAT, shape: Some(TensorShape { dim }) };
            ValueInfo { name: name.into(), kind: Some(TypeProto { tensor: Some(tensor) }) }
        };
        ModelProto {
            ir_version: IR_VERSION,
            producer_name: env!("CARGO_PKG_NAME").into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(GraphProto {
                node: self.nodes,
                name: name.into(),
                initializer: self.initializers,
                input: vec![image(INPUT, channels)],
                output: vec![image(OUTPUT, 3)],
            }),
            opset_import: vec![OperatorSetId { domain: String::new(), version: OPSET }],
        }
    }
}
