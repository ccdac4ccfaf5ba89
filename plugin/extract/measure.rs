//! Boxes around vertices of a mesh, measured once: around all of them, or around those that some joints move.

use bevy::asset::{AssetEvent, AssetId};
use bevy::ecs::prelude::*;
use bevy::math::Vec3;
use bevy::mesh::morph::MorphAttributes;
use bevy::mesh::{Mesh, VertexAttributeValues};
use bevy::platform::collections::HashMap;

/// The lower and the upper corner of a box.
pub(crate) type Corners = [Vec3; 2];

/// Joints move a vertex if they hold at least this share of its weights: half, less what is lost where weights are bytes.
const MIN_SHARE: f32 = 0.49;

/// Names the vertices of a mesh that are measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Vertices {
    /// Every vertex, wherever a skin moves it.
    All,
    /// The vertices that these joints of the skin move, with the joints' indices in ascending order.
    MovedBy(Vec<usize>),
}

/// The effect of one morph target on a box of vertices.
#[derive(Clone, Copy, Debug)]
struct Reach {
    /// Distance by which the target, alone and in full, moves the box's corners.
    full: Corners,
    /// Distance by which each further weight of 1 moves the box's corners at most.
    further: Corners,
}

/// A box of vertices that move together, in the space of the mesh.
#[derive(Clone, Debug)]
pub(crate) struct VertexBox {
    /// Index of the joint that moves the vertices; `None` in a mesh without a skin.
    pub joint: Option<usize>,
    /// The box without morph targets.
    rest: Corners,
    /// The effect of each target, with weights above 0 and with weights below 0.
    targets: Vec<[Reach; 2]>,
}

impl VertexBox {
    /// Measures these vertices, if there are any.
    fn new(
        joint: Option<usize>,
        vertices: &[usize],
        positions: &[[f32; 3]],
        targets: &[MorphAttributes],
    ) -> Option<Self> {
        let around = |place: &dyn Fn(usize) -> Vec3| {
            vertices.iter().fold([Vec3::INFINITY, Vec3::NEG_INFINITY], |[min, max], &vertex| {
                let place = place(vertex);
                [min.min(place), max.max(place)]
            })
        };
        let at_rest = |vertex: usize| Vec3::from(positions[vertex]);
        let rest = around(&at_rest);
        // Targets lie one after the other, each with all vertices.
        let targets = targets.chunks_exact(positions.len().max(1)).map(|target| {
            [1.0, -1.0].map(|sign| {
                let moved = around(&|vertex| at_rest(vertex) + sign * target[vertex].position);
                let further = around(&|vertex| sign * target[vertex].position);
                Reach { full: [moved[0] - rest[0], moved[1] - rest[1]], further }
            })
        });
        (!vertices.is_empty()).then(|| Self { joint, rest, targets: targets.collect() })
    }

    /// Returns how far these weights of morph targets move the box's corners. No vertex leaves the moved box, whatever the weights are.
    ///
    /// Where the weights' sizes sum up to S, a vertex lies between the places to which single targets with a weight of the size S bring
    /// it, each as far from these as its own weight's share of S says; and such a place is at most S − 1 times the target's longest way
    /// beyond the box at full weight.
    pub fn moves(&self, weights: &[f32]) -> Corners {
        let sum: f32 = weights.iter().take(self.targets.len()).map(|weight| weight.abs()).sum();
        let (share, further) = (sum.max(1.0).recip(), (sum - 1.0).max(0.0));
        self.targets.iter().zip(weights).fold([Vec3::ZERO; 2], |moves, (reach, &weight)| {
            let reach = reach[usize::from(weight < 0.0)];
            let amount = weight.abs() * share;
            std::array::from_fn(|at| moves[at] + amount * (reach.full[at] + further * reach.further[at]))
        })
    }

    /// Returns the box around the vertices with these weights of morph targets.
    pub fn moved(&self, weights: &[f32]) -> Corners {
        let moves = self.moves(weights);
        [self.rest[0] + moves[0], self.rest[1] + moves[1]]
    }
}

/// The meshes that are part of a face or excluded, as far as they have been measured.
#[derive(Resource, Default)]
pub(crate) struct MeasuredMeshes(HashMap<AssetId<Mesh>, Vec<(Vertices, Vec<VertexBox>)>>);

impl MeasuredMeshes {
    /// Forgets meshes that have changed.
    pub fn forget<'a>(&mut self, changes: impl Iterator<Item = &'a AssetEvent<Mesh>>) {
        for change in changes {
            if let AssetEvent::Modified { id } | AssetEvent::Removed { id } = change {
                self.0.remove(id);
            }
        }
    }

    /// Returns the boxes of these vertices, one for each joint that moves some; none where the mesh does not say.
    pub fn boxes(&mut self, id: AssetId<Mesh>, mesh: &Mesh, vertices: &Vertices) -> &[VertexBox] {
        let known = self.0.entry(id).or_default();
        let at = known.iter().position(|(measured, _)| measured == vertices).unwrap_or_else(|| {
            known.push((vertices.clone(), measure(mesh, vertices)));
            known.len() - 1
        });
        &known[at].1
    }
}

fn measure(mesh: &Mesh, vertices: &Vertices) -> Vec<VertexBox> {
    let positions = match mesh.try_attribute(Mesh::ATTRIBUTE_POSITION) {
        Ok(VertexAttributeValues::Float32x3(positions)) => positions.as_slice(),
        _ => &[],
    };
    let targets = mesh.try_morph_targets().map_or(&[][..], Vec::as_slice);
    let Vertices::MovedBy(joints) = vertices else {
        let all: Vec<usize> = (0..positions.len()).collect();
        return VertexBox::new(None, &all, positions, targets).into_iter().collect();
    };
    let (Ok(VertexAttributeValues::Uint16x4(indices)), Ok(VertexAttributeValues::Float32x4(weights))) =
        (mesh.try_attribute(Mesh::ATTRIBUTE_JOINT_INDEX), mesh.try_attribute(Mesh::ATTRIBUTE_JOINT_WEIGHT))
    else {
        return boxes_that_bevy_kept(mesh, joints);
    };
    let place = |joint: u16| joints.binary_search(&usize::from(joint)).ok();
    let mut moved = vec![Vec::new(); joints.len()];
    for (vertex, (indices, weights)) in indices.iter().zip(weights).take(positions.len()).enumerate() {
        let influences = || indices.iter().zip(weights).filter(|(_, weight)| **weight > 0.0);
        let all: f32 = influences().map(|(_, weight)| *weight).sum();
        let own: f32 = influences().filter(|(joint, _)| place(**joint).is_some()).map(|(_, weight)| *weight).sum();
        if own > 0.0 && own >= MIN_SHARE * all {
            let places = influences().filter_map(|(joint, _)| place(*joint));
            places.for_each(|place| moved[place].push(vertex));
        }
    }
    let boxes = joints.iter().zip(&moved);
    boxes.filter_map(|(joint, vertices)| VertexBox::new(Some(*joint), vertices, positions, targets)).collect()
}

/// Returns the boxes that the glTF loader measured, of a mesh whose vertices only the renderer keeps.
fn boxes_that_bevy_kept(mesh: &Mesh, joints: &[usize]) -> Vec<VertexBox> {
    let kept = mesh.skinned_mesh_bounds().into_iter().flat_map(|bounds| bounds.iter());
    let boxes = kept.filter(|(joint, _)| joints.binary_search(&usize::from(joint.0)).is_ok()).map(|(joint, bounds)| {
        let rest = [bounds.center - bounds.half_size, bounds.center + bounds.half_size];
        VertexBox { joint: Some(usize::from(joint.0)), rest, targets: Vec::new() }
    });
    boxes.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bevy::asset::RenderAssetUsages;
    use bevy::mesh::PrimitiveTopology;

    use super::*;

    fn mesh(positions: Vec<[f32; 3]>, targets: &[Vec<[f32; 3]>]) -> Mesh {
        let attributes = |moves: &[f32; 3]| MorphAttributes::new(Vec3::from(*moves), Vec3::ZERO, Vec3::ZERO);
        Mesh::new(PrimitiveTopology::TriangleList, RenderAssetUsages::default())
            .with_inserted_attribute(Mesh::ATTRIBUTE_POSITION, positions)
            .with_morph_targets(targets.iter().flatten().map(attributes).collect())
    }

    fn assert_near(found: Corners, expected: Corners, what: &str) {
        let off = (0..2).map(|at| (found[at] - expected[at]).abs().max_element()).fold(0.0, f32::max);
        assert!(off < 1e-5, "{what}: {found:?}, not {expected:?}");
    }

    #[test]
    fn targets_move_only_what_they_push_out_of_the_box() {
        let positions = vec![[-1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 2.0, 0.0]];
        let targets = [
            // The middle moves, and stays inside.
            vec![[0.0; 3], [0.5, 0.5, 0.0], [0.0; 3]],
            // The last vertex goes up.
            vec![[0.0; 3], [0.0; 3], [0.0, 1.0, 0.0]],
            // Everything goes to the right.
            vec![[3.0, 0.0, 0.0]; 3],
        ];
        let mut mesh = mesh(positions, &targets);
        let id = AssetId::default();
        let mut measured = MeasuredMeshes::default();
        let mut moves = |weights: &[f32]| measured.boxes(id, &mesh, &Vertices::All)[0].moves(weights);
        assert_near(moves(&[1.0, 0.0, 0.0]), [Vec3::ZERO; 2], "inside");
        assert_near(moves(&[0.0, 0.5]), [Vec3::ZERO, Vec3::new(0.0, 0.5, 0.0)], "half as far up");
        assert_near(moves(&[0.0, 1.0, 0.5]), [Vec3::new(1.5, 0.0, 0.0), Vec3::new(1.5, 1.0, 0.0)], "both");
        assert_near(moves(&[]), [Vec3::ZERO; 2], "none");
        measured.forget([AssetEvent::Modified { id }].iter());
        _ = mesh.take_gpu_data().unwrap();
        assert!(measured.boxes(id, &mesh, &Vertices::All).is_empty(), "a mesh that only the renderer has");
    }

    #[test]
    fn no_weights_below_0_or_above_1_let_a_vertex_out_of_the_box() {
        // Corners of a box, a vertex in its middle, and targets that move each vertex another way.
        let mut positions: Vec<[f32; 3]> = crate::region::box_corners(-Vec3::ONE, Vec3::ONE).map(Into::into).to_vec();
        positions.push([0.1, -0.2, 0.3]);
        let way =
            |target: usize, vertex: usize, axis: usize| ((target * 7 + vertex * 5 + axis * 3) % 11) as f32 * 0.3 - 1.5;
        let targets: Vec<Vec<[f32; 3]>> = (0..3)
            .map(|target| (0..9).map(|vertex| std::array::from_fn(|axis| way(target, vertex, axis))).collect())
            .collect();
        let mesh = mesh(positions.clone(), &targets);
        let mut measured = MeasuredMeshes::default();
        let vertices = &measured.boxes(AssetId::default(), &mesh, &Vertices::All)[0];
        let sizes = [-2.5, -1.0, -0.3, 0.0, 0.4, 1.0, 3.0];
        for weights in sizes.iter().flat_map(|&a| sizes.map(|b| sizes.map(|c| [a, b, c]))).flatten() {
            let [low, high] = vertices.moved(&weights);
            for (vertex, rest) in positions.iter().enumerate() {
                let moves = targets.iter().zip(weights).map(|(target, weight)| Vec3::from(target[vertex]) * weight);
                let place = Vec3::from(*rest) + moves.sum::<Vec3>();
                let inside = place.cmpge(low - 1e-4).all() && place.cmple(high + 1e-4).all();
                assert!(inside, "{weights:?} bring {place} out of {low} to {high}");
            }
        }
        // The box is no larger than it has to be where one target acts alone.
        let [low, high] = vertices.moved(&[0.0, -1.0, 0.0]);
        let moved = positions.iter().zip(&targets[1]).map(|(rest, by)| Vec3::from(*rest) - Vec3::from(*by));
        let tight = moved.fold([Vec3::INFINITY, Vec3::NEG_INFINITY], |[min, max], at| [min.min(at), max.max(at)]);
        assert_near([low, high], tight, "one target alone");
    }

    #[test]
    fn joints_have_the_vertices_of_which_they_hold_half() {
        let mut mesh = mesh(vec![[0.0; 3], [0.0, 1.0, 0.0], [0.0, 2.0, 0.0], [0.0, 3.0, 0.0]], &[]);
        // Chest, neck, head and jaw: the second vertex is the neck's more than the head's.
        let joints = vec![[0, 0, 0, 0], [1, 2, 0, 0], [1, 2, 3, 0], [2, 0, 0, 0]];
        let weights = vec![[1.0, 0.0, 0.0, 0.0], [0.6, 0.4, 0.0, 0.0], [0.498, 0.3, 0.202, 0.0], [1.0, 0.0, 0.0, 0.0]];
        mesh.insert_attribute(Mesh::ATTRIBUTE_JOINT_INDEX, VertexAttributeValues::Uint16x4(joints));
        mesh.insert_attribute(Mesh::ATTRIBUTE_JOINT_WEIGHT, weights);
        let mut measured = MeasuredMeshes::default();
        let mut heights = |joints: &[usize]| -> Vec<(Option<usize>, f32, f32)> {
            let boxes = measured.boxes(AssetId::default(), &mesh, &Vertices::MovedBy(joints.to_vec()));
            boxes.iter().map(|it| (it.joint, it.moved(&[])[0].y, it.moved(&[])[1].y)).collect()
        };
        assert_eq!(heights(&[2, 3]), [(Some(2), 2.0, 3.0), (Some(3), 2.0, 2.0)], "the head with its jaw");
        assert_eq!(heights(&[2]), [(Some(2), 3.0, 3.0)], "the head alone");
        assert_eq!(heights(&[3]), [], "the jaw alone holds a fifth of its vertex");
        assert_eq!(heights(&[0, 1, 2, 3]).len(), 4, "the whole mesh");
    }
}
