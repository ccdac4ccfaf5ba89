//! The view, which compares two pictures of the scene by a material.

use bevy::asset::{load_internal_asset, uuid_handle};
use bevy::camera::RenderTarget;
use bevy::feathers::cursor::EntityCursor;
use bevy::picking::events::{Drag, Pointer, Press};
use bevy::prelude::*;
use bevy::render::render_resource::{AsBindGroup, Extent3d, ShaderType, TextureFormat};
use bevy::shader::{Shader, ShaderRef};
use bevy::ui::UiGlobalTransform;
use bevy::window::SystemCursorIcon;
use bevy_portrait_realism::internals::{FaceBounds, Region, box_corners};
use bevy_portrait_realism::prelude::*;

const SHADER: Handle<Shader> = uuid_handle!("0b7a51e4-6c1c-4f6c-9d53-2f6f0d6b8a77");
/// Number of frames until a camera that has rested is lit again.
const LIT_AFTER: usize = 3;
/// Width and height of the pictures before the view's size is known, pixels.
const FIRST_PX: u32 = 64;

/// A way to compare the pictures. The variants have the numbers of `view.wgsl`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// The pictures before and after, with a divider between them.
    #[default]
    Split,
    /// The picture without the effect.
    Before,
    /// The picture with the effect.
    After,
    /// The difference: grey where nothing changes, lighter where the effect adds light.
    Difference,
    /// The size of the change, as a heat map.
    Heat,
    /// The part of the frame that the network sees.
    Region,
    /// The share of the effect that each pixel gets.
    Mask,
}

impl View {
    pub const ALL: [Self; 7] =
        [Self::Split, Self::Before, Self::After, Self::Difference, Self::Heat, Self::Region, Self::Mask];
}

/// Settings of the view.
#[derive(Resource)]
pub struct Shown {
    pub view: View,
    /// Place of the divider between before and after, as a share of the width.
    pub divider: f32,
    /// Number of pixels of the pictures for each pixel of the view, along a side.
    pub scale: f32,
    /// Mask with a soft oval, to be laid over the screen.
    pub mask: Handle<Image>,
}

/// Marks the camera of a picture.
#[derive(Component, Clone, Copy, PartialEq, Eq)]
pub enum Picture {
    Before,
    After,
}

#[derive(AsBindGroup, Asset, TypePath, Clone, Debug)]
pub struct CompareMaterial {
    #[uniform(0)]
    compare: Compare,
    #[texture(1)]
    #[sampler(2)]
    before: Handle<Image>,
    #[texture(3)]
    after: Handle<Image>,
    #[texture(4)]
    mask: Handle<Image>,
}

/// Uniform of the material (WGSL: `Compare` in `view.wgsl`).
#[derive(ShaderType, Clone, Copy, Debug, Default)]
struct Compare {
    view: u32,
    divider: f32,
    fading_sides: Vec4,
    region_px: Vec4,
    feather_px: f32,
    masked: f32,
}

impl UiMaterial for CompareMaterial {
    fn fragment_shader() -> ShaderRef {
        SHADER.into()
    }
}

/// Marks the node that shows the pictures.
#[derive(Component)]
struct Pictures;

/// Marks the line between before and after.
#[derive(Component)]
struct Divider;

/// Marks a label, by its side of the view.
#[derive(Component)]
enum Label {
    Left,
    Right,
}

pub struct ViewPlugin;

impl Plugin for ViewPlugin {
    fn build(&self, app: &mut App) {
        load_internal_asset!(app, SHADER, "view.wgsl", Shader::from_wgsl);
        app.add_plugins(UiMaterialPlugin::<CompareMaterial>::default())
            .add_systems(Update, (fit_pictures, rest, (show, label)).chain());
    }
}

/// Makes an image for a camera to draw.
pub fn picture(world: &mut World) -> Handle<Image> {
    let image = Image::new_target_texture(FIRST_PX, FIRST_PX, TextureFormat::Rgba8UnormSrgb, None);
    world.resource_mut::<Assets<Image>>().add(image)
}

/// Spawns the view's node, to be placed in a layout.
pub fn spawn(world: &mut World, [before, after]: [Handle<Image>; 2]) -> Entity {
    let mask = world.resource::<Shown>().mask.clone();
    let material = CompareMaterial { compare: default(), before, after, mask };
    let material = world.resource_mut::<Assets<CompareMaterial>>().add(material);
    let line = (
        Divider,
        Pickable::IGNORE,
        BackgroundColor(Color::WHITE),
        Node {
            position_type: PositionType::Absolute,
            width: px(2),
            height: percent(100),
            justify_content: JustifyContent::Center,
            align_items: AlignItems::Center,
            ..default()
        },
        children![(
            Pickable::IGNORE,
            BackgroundColor(Color::WHITE),
            Node { width: px(10), height: px(44), flex_shrink: 0.0, border_radius: BorderRadius::MAX, ..default() },
        )],
    );
    let label = |side: Label| {
        let place = Node {
            position_type: PositionType::Absolute,
            top: px(12),
            padding: UiRect::axes(px(8), px(3)),
            ..default()
        };
        let place = match side {
            Label::Left => Node { left: px(12), ..place },
            Label::Right => Node { right: px(12), ..place },
        };
        let font = TextFont::from_font_size(15.0);
        (side, Pickable::IGNORE, place, Text::default(), font, BackgroundColor(Color::srgba(0.0, 0.0, 0.0, 0.65)))
    };
    let node = Node { flex_grow: 1.0, height: percent(100), min_width: px(0), overflow: Overflow::clip(), ..default() };
    let mut view = world.spawn((
        Pictures,
        node,
        MaterialNode(material),
        EntityCursor::System(SystemCursorIcon::EwResize),
        children![line, label(Label::Left), label(Label::Right)],
    ));
    view.observe(|press: On<Pointer<Press>>, divide: Divide| divide_at(press.pointer_location.position, divide))
        .observe(|drag: On<Pointer<Drag>>, divide: Divide| divide_at(drag.pointer_location.position, divide))
        .id()
}

type Divide<'w, 's> =
    (ResMut<'w, Shown>, Single<'w, 's, (&'static ComputedNode, &'static UiGlobalTransform), With<Pictures>>);

/// Moves the divider to the pointer, logical pixels.
fn divide_at(pointer: Vec2, (mut shown, view): Divide) {
    let (node, place) = *view;
    if let Some(at) = node.normalize_point(*place, pointer / node.inverse_scale_factor()) {
        shown.divider = (at.x + 0.5).clamp(0.0, 1.0);
    }
}

/// Gives the pictures as many pixels as the view has.
fn fit_pictures(
    shown: Res<Shown>,
    view: Single<&ComputedNode, With<Pictures>>,
    cameras: Query<&RenderTarget, With<Picture>>,
    mut images: ResMut<Assets<Image>>,
) {
    let size = (view.size() * shown.scale).round().as_uvec2().max(UVec2::ONE);
    if view.size().min_element() < 1.0 {
        return; // Not laid out yet.
    }
    for picture in cameras.iter().filter_map(RenderTarget::as_image) {
        if images.get(picture).is_some_and(|image| image.size() != size)
            && let Some(mut image) = images.get_mut(picture)
        {
            image.resize(Extent3d { width: size.x, height: size.y, depth_or_array_layers: 1 });
        }
    }
}

/// Switches off the camera of a picture that is not shown.
fn rest(shown: Res<Shown>, mut cameras: Query<(&Picture, &mut Camera)>) {
    for (picture, mut camera) in &mut cameras {
        let shows = match shown.view {
            View::Before => *picture == Picture::Before,
            View::After | View::Region | View::Mask => *picture == Picture::After,
            _ => true,
        };
        if camera.is_active != shows {
            camera.is_active = shows;
        }
    }
}

fn show(
    shown: Res<Shown>,
    camera: Single<(&Camera, &GlobalTransform, &PortraitRealism, &PortraitStatus)>,
    face: Single<(&PortraitFace, &GlobalTransform)>,
    mut materials: ResMut<Assets<CompareMaterial>>,
    mut line: Single<&mut Node, With<Divider>>,
    mut recent: Local<[View; LIT_AFTER]>,
) {
    // The view before stays until the pictures of the new view are right.
    recent.rotate_left(1);
    let view = std::mem::replace(&mut recent[LIT_AFTER - 1], shown.view);
    let (camera, place, portrait, status) = *camera;
    let region = status.tier.and_then(|tier| region(camera, place, *face, tier));
    let compare = Compare {
        view: view as u32,
        divider: shown.divider,
        masked: if portrait.mask.is_some() { 1.0 } else { 0.0 },
        ..region.map(as_compare).unwrap_or_default()
    };
    // The material is touched in every frame, since a picture whose size has changed is another texture.
    for (_, material) in materials.iter_mut() {
        material.compare = compare;
    }
    line.display = if view == View::Split { Display::Flex } else { Display::None };
    line.left = percent(shown.divider * 100.0);
    line.margin.left = px(-1);
}

/// Returns the part of the picture that the plugin works on.
fn region(
    camera: &Camera,
    place: &GlobalTransform,
    (face, face_place): (&PortraitFace, &GlobalTransform),
    tier: ResolutionTier,
) -> Option<Region> {
    let bounds = face.bounds?;
    let corners = box_corners(bounds.min().into(), bounds.max().into()).map(|it| face_place.transform_point(it));
    let clip_from_world = camera.clip_from_view() * place.to_matrix().inverse();
    FaceBounds::new(&corners, clip_from_world, camera.physical_viewport_rect()?)?.region(tier.max_px())
}

fn as_compare(region: Region) -> Compare {
    let (min, max) = (region.rect_px.min.as_vec2(), region.rect_px.max.as_vec2());
    Compare {
        region_px: Vec4::new(min.x, min.y, max.x, max.y),
        fading_sides: Vec4::from_array(region.fading_sides.map(|fades| if fades { 1.0 } else { 0.0 })),
        feather_px: region.feather_px(),
        ..default()
    }
}

fn label(shown: Res<Shown>, portrait: Single<&PortraitRealism>, mut labels: Query<(&Label, &mut Text, &mut Node)>) {
    let after = if portrait.enabled { "after" } else { "after (effect off)" };
    for (label, mut text, mut node) in &mut labels {
        let (wanted, seen) = match (label, shown.view) {
            (Label::Left, View::Split) => ("before", shown.divider > 0.15),
            (Label::Right, View::Split) => (after, shown.divider < 0.85),
            (Label::Left, View::Before) => ("before", true),
            (Label::Left, View::After) => (after, true),
            (Label::Left, View::Difference) => ("after - before, 3x; grey is no change", true),
            (Label::Left, View::Heat) => ("size of the change; palest at a quarter of the range", true),
            (Label::Left, View::Region) => ("what the network sees", true),
            (Label::Left, View::Mask) => ("how much of the effect a pixel gets", true),
            (Label::Right, _) => ("", false),
        };
        text.set_if_neq(Text::new(wanted));
        let display = if seen { Display::Flex } else { Display::None };
        if node.display != display {
            node.display = display;
        }
    }
}
