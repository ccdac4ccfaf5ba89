//! A face is what a camera draws of it: layers, visibility and culling of each part count, and of what is excluded as well.

use bevy::camera::visibility::{NoCpuCulling, NoFrustumCulling, RenderLayers, VisibilityRange};
use bevy::camera::{CameraProjection, ScalingMode, SubCameraView};
use bevy::core_pipeline::prepass::DepthPrepass;
use bevy::math::Vec3A;
use bevy::prelude::*;
use bevy_portrait_realism::internals::box_corners;
use bevy_portrait_realism::prelude::*;
use portrait_network::Plane;

use crate::common::{face_bounds, frame, headless, settle, spawn_camera, target};
use crate::stage::{LDR, SIZE, assert_inside, changed, linear_model, model};

/// A character of several meshes before a camera. Its root is marked, and draws nothing itself.
struct Modular {
    app: App,
    target: Handle<Image>,
    camera: Entity,
    root: Entity,
    head: Entity,
    hair: Entity,
    settings: PortraitRealism,
}

impl Modular {
    /// Makes a ball for the head and a block above it for the hair.
    fn new(face: PortraitFace) -> Self {
        let mut app = headless("assets", true);
        let target = target(&mut app, SIZE, LDR);
        let camera = spawn_camera(&mut app, &target, Msaa::Off);
        app.world_mut().entity_mut(camera).insert(Transform::from_xyz(0.0, 0.0, 3.0));
        let world = app.world_mut();
        let light = DirectionalLight { illuminance: 4_000.0, ..default() };
        world.spawn((
            light,
            RenderLayers::from_layers(&[0, 1, 2]),
            Transform::from_xyz(1.0, 2.0, 3.0).looking_at(Vec3::ZERO, Vec3::Y),
        ));
        let root = world.spawn((Transform::default(), Visibility::default(), face)).id();
        let settings = PortraitRealism::default();
        let mut modular = Self { app, target, camera, root, head: root, hair: root, settings };
        modular.head = modular.part(Sphere::new(0.5), Vec3::ZERO);
        modular.hair = modular.part(Cuboid::new(0.4, 0.5, 0.4), Vec3::new(0.0, 0.75, 0.0));
        let model = model(&mut modular.app, linear_model(&[Plane::Color], vec![0.0; 9], [0.4; 3]));
        modular.settings = PortraitRealism { model, ..default() };
        // Bevy finds the bounds of meshes in the first frame, unless they are never to be culled.
        settle(&mut modular.app);
        modular
    }

    /// Adds a part of the character.
    fn part(&mut self, shape: impl Into<Mesh>, at: Vec3) -> Entity {
        let world = self.app.world_mut();
        let mesh = world.resource_mut::<Assets<Mesh>>().add(shape);
        let material = StandardMaterial { base_color: Color::srgb(0.8, 0.55, 0.45), ..default() };
        let material = world.resource_mut::<Assets<StandardMaterial>>().add(material);
        let place = Transform::from_translation(at);
        world.spawn((Mesh3d(mesh), MeshMaterial3d(material), place, ChildOf(self.root))).id()
    }

    fn insert(&mut self, entity: Entity, parts: impl Bundle) {
        self.app.world_mut().entity_mut(entity).insert(parts);
    }

    /// Returns the pixels that the effect changes.
    fn changed(&mut self) -> Vec<UVec2> {
        let [off, on] = [false, true].map(|enabled| {
            self.insert(self.camera, PortraitRealism { enabled, ..self.settings.clone() });
            settle(&mut self.app);
            frame(&mut self.app, &self.target)
        });
        changed(&off, &on, SIZE.x)
    }

    fn assert_untouched(&mut self, what: &str) {
        let changed = self.changed();
        assert!(changed.is_empty(), "{what}: {} pixels changed", changed.len());
    }

    /// Asserts that the region is that of a box.
    fn assert_region(&mut self, what: &str, [min, max]: [Vec3; 2]) {
        let changed = self.changed();
        let camera = self.app.world().entity(self.camera);
        let place = camera.get::<GlobalTransform>().expect("a place").to_matrix();
        let camera = camera.get::<Camera>().expect("a camera");
        let viewport = camera.physical_viewport_rect().expect("a viewport");
        let clip_from_world = camera.clip_from_view() * place.inverse();
        let region = bevy_portrait_realism::internals::face_region(&box_corners(min, max), clip_from_world, viewport)
            .expect("in view");
        assert_inside(&region, &changed);
        let [low, high] = [UVec2::MAX, UVec2::MIN];
        let (low, high) = changed.iter().fold((low, high), |(low, high), px| (low.min(*px), high.max(*px + 1)));
        let reaches = low.saturating_sub(region.rect_px.min).max(region.rect_px.max.saturating_sub(high));
        assert!(reaches.max_element() <= 2, "{what}: {low} to {high} has changed of {:?}", region.rect_px);
    }
}

const HEAD: [Vec3; 2] = [Vec3::splat(-0.5), Vec3::splat(0.5)];
const BOTH: [Vec3; 2] = [Vec3::splat(-0.5), Vec3::new(0.5, 1.0, 0.5)];

#[test]
fn layers_of_each_part_count_and_no_layers_are_layer_0() {
    let mut character = Modular::new(PortraitFace::default());
    character.assert_region("all on layer 0", BOTH);
    // First person: the camera of the player leaves out the layer of the head. The root's own layers are nobody's.
    let (root, head, hair, camera) = (character.root, character.head, character.hair, character.camera);
    character.insert(hair, RenderLayers::layer(1));
    character.assert_region("hair on another layer", HEAD);
    character.insert(head, RenderLayers::layer(1));
    character.assert_untouched("nothing on the camera's layer");
    character.insert(root, RenderLayers::layer(0));
    character.assert_untouched("the root on the camera's layer");
    character.insert(camera, RenderLayers::layer(1));
    character.assert_region("a camera that shows the head", BOTH);
    character.app.world_mut().entity_mut(head).remove::<RenderLayers>();
    character.assert_region(
        "a head without layers, seen from layer 1",
        [Vec3::new(-0.2, 0.5, -0.2), Vec3::new(0.2, 1.0, 0.2)],
    );
    character.app.world_mut().entity_mut(hair).remove::<RenderLayers>();
    character.assert_untouched("no layers are layer 0");
}

#[test]
fn hidden_parts_of_a_modular_character_are_no_part_of_its_face() {
    let mut character = Modular::new(PortraitFace::default());
    let (root, head, hair) = (character.root, character.head, character.hair);
    let helmet = character.part(Cuboid::new(1.6, 1.2, 1.6), Vec3::new(0.0, 0.9, 0.0));
    character.insert(helmet, Visibility::Hidden);
    character.assert_region("without the helmet", BOTH);
    character.insert(hair, Visibility::Hidden);
    character.assert_region("without hair", HEAD);
    character.insert(head, Visibility::Hidden);
    character.assert_untouched("everything hidden");
    // The root is hidden, and a part is shown all the same.
    character.insert(root, Visibility::Hidden);
    character.insert(head, Visibility::Visible);
    character.assert_region("a head that is visible whatever its parent is", HEAD);
    // A part of another level of detail, a part scaled away where nobody looks, and a light are no parts.
    character.insert(root, Visibility::Visible);
    character.insert(hair, (Visibility::Inherited, VisibilityRange::abrupt(50.0, 100.0)));
    character
        .insert(helmet, (Visibility::Inherited, Transform::from_xyz(0.0, -1.0, 0.0).with_scale(Vec3::splat(1e-6))));
    let light = PointLight { range: 3.0, ..default() };
    character.app.world_mut().spawn((light, Transform::from_xyz(0.0, 1.5, 0.0), ChildOf(root)));
    character.assert_region("what is shown at this distance", HEAD);
}

#[test]
fn bounds_by_hand_are_no_face_where_nothing_is_drawn() {
    let mut character = Modular::new(PortraitFace { bounds: Some(face_bounds()), ..default() });
    let (head, hair) = (character.head, character.hair);
    character.assert_region("by hand", HEAD);
    character.insert(hair, RenderLayers::layer(1));
    character.insert(head, RenderLayers::layer(2));
    character.assert_untouched("meshes on other layers");
    character.insert(head, (RenderLayers::layer(0), Visibility::Hidden));
    character.assert_untouched("hidden");
    character.insert(head, Visibility::Visible);
    character.assert_region("shown again", HEAD);
}

#[test]
fn a_camera_inside_the_head_or_past_it_leaves_the_frame_alone() {
    for (what, projection) in [
        ("perspective", Projection::Perspective(PerspectiveProjection::default())),
        (
            "orthographic",
            Projection::Orthographic(OrthographicProjection {
                scaling_mode: ScalingMode::FixedVertical { viewport_height: 2.0 },
                near: 0.0,
                far: 20.0,
                ..OrthographicProjection::default_3d()
            }),
        ),
    ] {
        for by_hand in [None, Some(face_bounds())] {
            let mut character = Modular::new(PortraitFace { bounds: by_hand, ..default() });
            let (head, camera) = (character.head, character.camera);
            let hair = character.hair;
            character.app.world_mut().entity_mut(hair).despawn();
            // Walls behind the head, which a player sees, and nothing else.
            character.root = character.app.world_mut().spawn((Transform::default(), Visibility::default())).id();
            character.part(Cuboid::new(20.0, 20.0, 0.2), Vec3::new(0.0, 0.0, -6.0));
            character.insert(camera, projection.clone());
            // The mesh is never culled: Bevy draws what lies beyond the near plane all the same.
            character.insert(head, NoFrustumCulling);
            assert!(character.changed().len() > 300, "{what}: the head is in view");
            for place in [Vec3::ZERO, Vec3::new(0.0, 0.1, -0.1), Vec3::new(0.0, 0.0, -0.9)] {
                character.insert(camera, Transform::from_translation(place));
                character.assert_untouched(&format!("{what}, at {place}"));
            }
        }
    }
}

/// A projection of an app's own: a perspective whose lens is shifted aside, so that what it shows is not symmetric about the view axis.
#[derive(Clone, Debug)]
struct ShiftedLens(PerspectiveProjection);

impl ShiftedLens {
    /// Moves the picture to the right by a tenth of its width.
    const SHIFT: Mat4 = Mat4::from_cols(Vec4::X, Vec4::Y, Vec4::Z, Vec4::new(0.2, 0.0, 0.0, 1.0));
}

impl CameraProjection for ShiftedLens {
    fn get_clip_from_view(&self) -> Mat4 {
        Self::SHIFT * self.0.get_clip_from_view()
    }

    fn get_clip_from_view_for_sub(&self, sub_view: &SubCameraView) -> Mat4 {
        Self::SHIFT * self.0.get_clip_from_view_for_sub(sub_view)
    }

    fn update(&mut self, width: f32, height: f32) {
        self.0.update(width, height);
    }

    fn far(&self) -> f32 {
        self.0.far()
    }

    fn get_frustum_corners(&self, z_near: f32, z_far: f32) -> [Vec3A; 8] {
        self.0.get_frustum_corners(z_near, z_far)
    }
}

#[test]
fn faces_beyond_any_side_of_the_view_leave_the_frame_alone() {
    let orthographic = OrthographicProjection {
        scaling_mode: ScalingMode::FixedVertical { viewport_height: 2.0 },
        near: 0.5,
        far: 20.0,
        ..OrthographicProjection::default_3d()
    };
    let perspective = PerspectiveProjection { near: 0.5, ..default() };
    for (what, projection) in [
        ("perspective", Projection::Perspective(perspective.clone())),
        ("of the app's own", Projection::custom(ShiftedLens(perspective))),
        ("orthographic", Projection::Orthographic(orthographic)),
    ] {
        let mut character = Modular::new(PortraitFace { bounds: Some(face_bounds()), ..default() });
        let (root, head, hair, camera) = (character.root, character.head, character.hair, character.camera);
        character.insert(camera, projection);
        character.insert(head, NoFrustumCulling);
        character.insert(hair, NoFrustumCulling);
        assert!(character.changed().len() > 300, "{what}: in view");
        // The camera is at 3, and looks along -Z.
        for place in [
            Vec3::new(-9.0, 0.0, 0.0),
            Vec3::new(9.0, 0.0, 0.0),
            Vec3::new(0.0, 9.0, 0.0),
            Vec3::new(0.0, -9.0, 0.0),
            Vec3::new(0.0, 0.0, 9.0),
            Vec3::new(0.0, 0.0, 3.0),
        ] {
            character.insert(root, Transform::from_translation(place));
            character.assert_untouched(&format!("{what}, at {place}"));
        }
        if what == "orthographic" {
            character.insert(root, Transform::from_xyz(0.0, 0.0, -30.0));
            character.assert_untouched("beyond the far plane");
        }
        // Two parts, one on each side of the view: the box around both covers it, and neither is in it.
        character.insert(root, (Transform::default(), PortraitFace::default()));
        character.insert(head, Transform::from_xyz(-9.0, 0.0, 0.0));
        character.insert(hair, Transform::from_xyz(9.0, 0.0, 0.0));
        character.assert_untouched(&format!("{what}, a part on either side"));
    }
}

#[test]
fn what_bevy_culls_is_not_drawn_and_what_it_never_checks_is() {
    let mut character = Modular::new(PortraitFace { bounds: Some(face_bounds()), ..default() });
    let (head, hair) = (character.head, character.hair);
    character.app.world_mut().entity_mut(hair).despawn();
    // Bounds far away from the mesh, as those of a skin that has moved: Bevy culls the mesh, so that there is no face.
    let far = bevy::camera::primitives::Aabb::from_min_max(Vec3::splat(50.0), Vec3::splat(51.0));
    character.insert(head, (far, bevy::camera::visibility::NoAutoAabb));
    character.assert_untouched("culled by its bounds");
    character.insert(head, (face_bounds(), NoCpuCulling));
    character.assert_region("in view, and never checked by Bevy", HEAD);
    character.insert(head, RenderLayers::layer(1));
    character.assert_untouched("never checked, and on another layer");
}

#[test]
fn what_is_excluded_protects_only_where_it_is_drawn() {
    let mut character = Modular::new(PortraitFace { bounds: Some(face_bounds()), ..default() });
    let (camera, hair) = (character.camera, character.hair);
    character.insert(camera, DepthPrepass);
    // A visor around the head: where it is not drawn, the head is not in a helmet.
    let root = character.root;
    character.app.world_mut().entity_mut(hair).despawn();
    let helmet =
        character.app.world_mut().spawn((Transform::default(), Visibility::default(), PortraitExclude::default())).id();
    character.root = helmet;
    let visor = character.part(Cuboid::new(1.2, 1.2, 1.2), Vec3::ZERO);
    character.root = root;
    character.insert(visor, RenderLayers::layer(1));
    let without = character.changed().len();
    assert!(without > 500, "a helmet that this camera does not draw: {without} pixels");
    character.insert(visor, (RenderLayers::layer(0), Visibility::Hidden));
    assert_eq!(character.changed().len(), without, "a helmet that is hidden");
    character.insert(visor, Visibility::Inherited);
    character.insert(helmet, RenderLayers::layer(1));
    let worn = character.changed().len();
    assert!(worn * 4 < without * 3, "a helmet that is drawn, whatever the layers of its root: {worn} of {without}");
    // By hand: the box counts as long as something of the helmet is drawn.
    let bounds = Some(bevy::camera::primitives::Aabb::from_min_max(Vec3::splat(-0.6), Vec3::splat(0.6)));
    character.insert(helmet, PortraitExclude { bounds, ..default() });
    assert_eq!(character.changed().len(), worn, "the same box by hand");
    character.insert(visor, Visibility::Hidden);
    assert_eq!(character.changed().len(), without, "by hand, and hidden");
    // What draws nothing itself protects as its entity is seen.
    character.app.world_mut().entity_mut(visor).despawn();
    assert_eq!(character.changed().len(), without, "by hand, on a layer that the camera does not show");
    character.insert(helmet, RenderLayers::layer(0));
    assert!(character.changed().len() + 500 < without, "by hand, on the camera's layer");
}

#[test]
fn two_cameras_see_each_its_own_face_and_its_own_exclusions() {
    let mut character = Modular::new(PortraitFace::default());
    let (head, hair) = (character.head, character.hair);
    character.insert(hair, RenderLayers::layer(1));
    // A second camera on a target of its own shows both layers, and on the first nothing changes by that.
    let alone = character.changed();
    let second_target = target(&mut character.app, SIZE, LDR);
    let second = spawn_camera(&mut character.app, &second_target, Msaa::Off);
    let view = (Transform::from_xyz(0.0, 0.0, 3.0), RenderLayers::from_layers(&[0, 1]), character.settings.clone());
    character.insert(second, view);
    let beside = character.changed();
    assert_eq!(alone, beside, "what the first camera shows");
    let (target, camera) = (std::mem::replace(&mut character.target, second_target), character.camera);
    character.camera = second;
    character.assert_region("what the second camera shows", BOTH);
    character.insert(head, PortraitExclude::default());
    character.insert(head, RenderLayers::layer(1));
    let excluded = character.changed();
    (character.target, character.camera) = (target, camera);
    character.assert_untouched("head and hair are on the layer of the second camera");
    assert!(!excluded.is_empty(), "the hair is enhanced there");
}
