//! Fusion: the layers that one kernel does at once. Pure data, without a GPU.
//!
//! Between two kernels a tensor is written and read again. A layer that follows a convolution can be done before the tensor is written.

use portrait_network::pack::OutOrder;
use portrait_network::{Graph, Op, Source, Upsampling};

/// The further layers that a convolution's kernel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epilogue {
    /// True if channels become pixels (pixel shuffle).
    pub shuffles: bool,
    /// The layer whose tensor is added at last.
    pub adds: Option<usize>,
    /// The layer whose tensor it makes: itself, or the last one that was taken in.
    pub makes: usize,
}

/// Returns, for each layer, the further layers that its kernel does; `None` where an earlier layer's kernel does its work.
pub fn epilogues(graph: &Graph) -> Vec<Option<Epilogue>> {
    let layers = &graph.spec().layers;
    let mut found: Vec<Option<Epilogue>> =
        (0..layers.len()).map(|makes| Some(Epilogue { shuffles: false, adds: None, makes })).collect();
    for conv in 0..layers.len() {
        if !matches!(layers[conv].op, Op::Conv { .. }) {
            continue;
        }
        let mut epilogue = Epilogue { shuffles: false, adds: None, makes: conv };
        if let Some(next) = only_reader(graph, conv)
            && layers[next].op == (Op::Upsample { mode: Upsampling::PixelShuffle })
        {
            epilogue = Epilogue { shuffles: true, makes: next, ..epilogue };
            found[next] = None;
        }
        if let Some(next) = only_reader(graph, epilogue.makes)
            && layers[next].op == Op::Add
            && let Some(other) = other_source(graph, next, epilogue.makes).filter(|&other| other < conv)
        {
            epilogue = Epilogue { adds: Some(other), makes: next, ..epilogue };
            found[next] = None;
        }
        found[conv] = Some(epilogue);
    }
    found
}

/// Returns the order of each convolution's output channels, in the order of [`Graph::convs`].
pub fn out_orders(graph: &Graph) -> Vec<OutOrder> {
    let epilogues = epilogues(graph);
    let shuffles = graph.convs().map(|conv| epilogues[conv.layer].is_some_and(|epilogue| epilogue.shuffles));
    shuffles.map(|shuffles| if shuffles { OutOrder::Shuffled } else { OutOrder::Natural }).collect()
}

/// Returns whether the input planes are read by a first space-to-depth layer of factor 2 alone, so that they can be made in its order.
pub fn input_is_unshuffled(graph: &Graph) -> bool {
    let first = graph.spec().layers.first().map(|layer| layer.op);
    let readers = graph.nodes().iter().filter(|node| node.sources.contains(&Source::Input)).count();
    first == Some(Op::SpaceToDepth { factor: 2 }) && readers == 1
}

fn only_reader(graph: &Graph, layer: usize) -> Option<usize> {
    let read = Source::Layer(layer);
    let mut readers = graph.nodes().iter().enumerate().filter(|(_, node)| node.sources.contains(&read));
    let (reader, _) = readers.next()?;
    readers.next().is_none().then_some(reader)
}

/// Returns the other source of a sum of two.
fn other_source(graph: &Graph, sum: usize, one: usize) -> Option<usize> {
    let [a, b] = graph.nodes()[sum].sources.as_slice() else { return None };
    match (*a, *b) {
        (Source::Layer(a), Source::Layer(b)) if a == one && b != one => Some(b),
        (Source::Layer(a), Source::Layer(b)) if b == one && a != one => Some(a),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use portrait_network::Spec;

    use super::*;
    use crate::inference::test_networks::every_op;

    #[test]
    fn a_u_net_needs_no_kernel_but_convolutions() {
        let graph = Spec::quality().validate().unwrap();
        let epilogues = epilogues(&graph);
        let layers = graph.spec().layers.iter().zip(&epilogues);
        let alone: Vec<&str> = layers
            .filter(|(layer, epilogue)| epilogue.is_some() && !matches!(layer.op, Op::Conv { .. }))
            .map(|(layer, _)| layer.name.as_str())
            .collect();
        assert_eq!(alone, ["unshuffle", "output"]);
        assert!(input_is_unshuffled(&graph));
        let of = |name: &str| graph.spec().layers.iter().position(|layer| layer.name == name).unwrap();
        let lift = Epilogue { shuffles: true, adds: Some(of("enc0")), makes: of("skip0") };
        assert_eq!(epilogues[of("lift0")], Some(lift));
    }

    #[test]
    fn what_others_read_as_well_is_left_alone() {
        let graph = every_op().validate().unwrap();
        // `a` and `b` are read twice, `c` by a sum of four.
        for (layer, epilogue) in graph.spec().layers.iter().zip(epilogues(&graph)) {
            if ["a", "b", "c"].contains(&layer.name.as_str()) {
                assert!(
                    epilogue.is_some_and(|epilogue| !epilogue.shuffles && epilogue.adds.is_none()),
                    "{}",
                    layer.name
                );
            }
        }
        assert!(!input_is_unshuffled(&graph));
    }
}
