//! Shows your own glTF file: `cargo run --example bring_your_own -- hero.glb --face Head`.

#[path = "../common/mod.rs"]
mod common;
mod eyes;
mod head;
mod names;
mod readable;
mod weights;

use std::f32::consts::PI;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use bevy::asset::LoadState;
use bevy::camera::Hdr;
use bevy::camera::primitives::Aabb;
use bevy::ecs::system::SystemParam;
use bevy::gltf::GltfAssetLabel;
use bevy::light::CascadeShadowConfigBuilder;
use bevy::prelude::*;
use bevy_portrait_realism::internals::box_corners;
use bevy_portrait_realism::prelude::*;
use clap::Parser;
use common::demo::add_mip_levels;
use common::start::{Example, Options};
use eyes::{Corners, hull};
use head::Shapes;

/// Share of the view's height that the face fills.
const FACE_FILLS: f32 = 0.6;
/// Field of view of a portrait's lens, radians from bottom to top.
const FOV: f32 = 0.4;

#[derive(Parser)]
#[command(about = "A face of your own; Space switches the effect, arrow keys turn the camera")]
struct Cli {
    /// A .glb or .gltf file, of which the first scene is shown
    file: PathBuf,
    /// Name of the node or bone that is the face; * stands for any characters [default: a bone called head, else the head
    /// about parts called eyes, else what is above the neck, else the whole model]
    #[arg(long, value_name = "NODE_NAME")]
    face: Option<String>,
    /// Side of the file that is shown, degrees about the vertical axis: 0 is its +z, 90 its +x, 180 its -z [default: the side
    /// on which parts called eyes lie, else -z for VRM 0, else +z]
    #[arg(long, value_name = "DEGREES", allow_negative_numbers = true)]
    turn: Option<f32>,
    /// Weights file of the character's own, as `cargo xtask character` makes it, in place of --model
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

/// The file, the face and the settings that the command line asks for.
#[derive(Resource)]
struct Wanted {
    file: PathBuf,
    face: Option<String>,
    /// Side of the file to show, degrees.
    side: Option<f32>,
    portrait: PortraitRealism,
}

/// Place of a camera that turns about a point.
#[derive(Component)]
struct Orbit {
    /// Point that the camera looks at.
    center: Vec3,
    /// Distance of the camera from the point.
    distance: f32,
    /// Angle about the vertical axis, radians; 0 is on the side of +z.
    angle: f32,
}

fn main() -> Result<()> {
    let Cli { file, face, turn: side, weights, options } = Cli::parse();
    ensure!(file.is_file(), "there is no file {}", file.display());
    let end = file.extension().map(|end| end.to_ascii_lowercase());
    ensure!(
        end.is_some_and(|end| end == "glb" || end == "gltf"),
        "{} is no .glb or .gltf file; a .vrm file is one, under a name that ends with .glb",
        file.display()
    );
    ensure!(side.is_none_or(f32::is_finite), "--turn takes degrees, such as 180");
    if let Some(obstacles) = readable::obstacles(&file) {
        bail!("{obstacles}");
    }
    let weights = weights.as_deref().map(weights::read).transpose()?;
    let path = std::path::absolute(&file)?;
    // Textures and buffers beside the file are found from its own folder.
    let (folder, name) = path.parent().zip(path.file_name()).context("a file in a folder")?;
    let (name, marked) = (Path::new(name).to_path_buf(), face.clone());
    let example = Example { title: "Portrait Realism: your own", assets: folder.into(), ..default() };
    example.run(&options, |app| {
        app.add_plugins(PortraitRealismPlugin);
        let mut portrait = options.portrait(PortraitRealism::default());
        // There is one face, so the camera's weights are the face's.
        if let Some(weights) = weights {
            portrait.model = app.world_mut().resource_mut::<Assets<PortraitModel>>().add(weights);
        }
        app.insert_resource(ClearColor(Color::srgb(0.22, 0.24, 0.26)))
            .insert_resource(GlobalAmbientLight { brightness: 250.0, ..default() })
            .insert_resource(Wanted { file, face, side, portrait })
            .add_systems(Update, (add_mip_levels, frame_the_face, turn, toggle));
        let scene = app.world().resource::<AssetServer>().load(GltfAssetLabel::Scene(0).from_asset(name));
        let mut root = app.world_mut().spawn((WorldAssetRoot(scene), Model));
        if let Some(face) = marked {
            root.insert(MarkPortraitFaces::named([face]));
        }
        Ok(())
    })
}

/// The root of the file's scene.
#[derive(Component)]
struct Model;

/// The face that was found.
struct Found {
    /// Its description, for people.
    what: String,
    corners: Corners,
    front: Front,
    /// The entity that has to be marked: none where the plugin has marked it, a bone, or the whole model with the face's box.
    mark: Option<Mark>,
}

/// The side of the file that is shown.
#[derive(Clone, Copy)]
struct Front {
    /// Angle about the vertical axis, radians; 0 is the file's +z.
    angle: f32,
    /// Its description, for people, and where it is known from.
    what: &'static str,
}

enum Mark {
    Bone(Entity),
    Corners,
}

impl Wanted {
    /// Returns the side to show of a file whose eyes say whether the head looks along -z.
    fn front(&self, looks_back: Option<bool>) -> Front {
        match (self.side, looks_back) {
            (Some(side), _) => Front { angle: side.to_radians(), what: "the side that --turn names" },
            (None, Some(true)) => Front { angle: PI, what: "-z, where its eyes are" },
            (None, Some(false)) => Front { angle: 0.0, what: "+z, where its eyes are" },
            (None, None) if readable::is_vrm_0(&self.file) => Front { angle: PI, what: "-z, as VRM 0 has it" },
            (None, None) => Front { angle: 0.0, what: "+z, as glTF has it" },
        }
    }
}

#[derive(SystemParam)]
struct World3d<'w, 's> {
    root: Single<'w, 's, (Entity, &'static WorldAssetRoot), With<Model>>,
    children: Query<'w, 's, &'static Children>,
    names: Query<'w, 's, &'static Name>,
    shapes: Shapes<'w, 's>,
    faces: Query<'w, 's, (Entity, &'static PortraitFace, &'static GlobalTransform)>,
    assets: Res<'w, AssetServer>,
}

impl World3d<'_, '_> {
    /// Returns the face; `None` until the model is there.
    fn face(&self, wanted: &Wanted) -> Result<Option<Found>> {
        let (root, scene) = *self.root;
        let file = wanted.file.display();
        if let LoadState::Failed(error) = self.assets.load_state(&scene.0) {
            bail!("{file} cannot be loaded: {}", readable::in_one_line(&error));
        }
        if !self.children.contains(root) {
            return Ok(None);
        }
        let shape = self.shapes.head_by_shape(root);
        let (what, corners) = shape.with_context(|| format!("there is no mesh in the first scene of {file}"))?;
        let eyes = self.shapes.eyes(root);
        let looks_back = eyes.as_ref().and_then(|(_, eyes)| self.shapes.look_back(root, eyes));
        let front = wanted.front(looks_back);
        let Some(name) = &wanted.face else {
            if let Some((bone, name, corners)) = self.shapes.head_bone(root) {
                return Ok(Some(Found {
                    what: format!("the bone {name}"),
                    corners,
                    front,
                    mark: Some(Mark::Bone(bone)),
                }));
            }
            let (what, corners) = match eyes.zip(self.shapes.around(root)) {
                Some(((names, eyes), model)) => {
                    (format!("the head about the eyes {names}"), eyes.head(looks_back == Some(true), model))
                }
                None => (what.into(), corners),
            };
            return Ok(Some(Found { what, corners, front, mark: Some(Mark::Corners) }));
        };
        // The plugin marked the face when the model appeared.
        let (face, marked, place) =
            self.faces.iter().next().with_context(|| format!("no node of {file} is called {name}; see above"))?;
        let corners = match marked.bounds {
            Some(bounds) => {
                let corners = box_corners(bounds.min().into(), bounds.max().into());
                hull(corners.map(|corner| place.transform_point(corner)))
            }
            None => self.shapes.around(face),
        };
        let corners = corners.with_context(|| {
            format!("{name} has no mesh below it, and moves no vertices as a bone: take the node of the head's mesh, or its bone")
        })?;
        let what = self.names.get(face).map_or_else(|_| name.clone(), ToString::to_string);
        Ok(Some(Found { what, corners, front, mark: None }))
    }
}

/// Marks the face, and places the camera and the lights, once the model is there.
fn frame_the_face(
    mut commands: Commands,
    model: World3d,
    wanted: Res<Wanted>,
    framed: Query<(), With<Orbit>>,
    mut cameras: Query<&mut Camera>,
    mut exit: MessageWriter<AppExit>,
) {
    if !framed.is_empty() {
        return;
    }
    let Found { what, corners: [min, max], front, mark } = match model.face(&wanted) {
        Ok(Some(found)) => found,
        Ok(None) => return,
        Err(error) => {
            error!("{error:#}");
            exit.write(AppExit::error());
            return;
        }
    };
    let size = max - min;
    println!(
        "the face is {what}: {:.3} × {:.3} × {:.3} units of the file; --face NAME takes another node or bone",
        size.x, size.y, size.z
    );
    println!("it is seen from {}; --turn DEGREES takes another side", front.what);
    match mark {
        Some(Mark::Bone(bone)) => _ = commands.entity(bone).insert(PortraitFace::default()),
        // The root stands at the origin: its space is the world's.
        Some(Mark::Corners) => {
            let bounds = Some(Aabb::from_min_max(min, max));
            commands.entity(model.root.0).insert(PortraitFace { bounds, ..default() });
        }
        None => {}
    }
    let distance = size.y.max(size.x) / FACE_FILLS / 2.0 / (FOV / 2.0).tan() + size.z / 2.0;
    // The file's own cameras look elsewhere.
    cameras.iter_mut().for_each(|mut camera| camera.is_active = false);
    let lens = PerspectiveProjection { fov: FOV, near: distance / 100.0, far: distance * 100.0, ..default() };
    let orbit = Orbit { center: (min + max) / 2.0, distance, angle: front.angle + 0.25 };
    commands.spawn((Camera3d::default(), Hdr, Projection::from(lens), orbit.place(), orbit, wanted.portrait.clone()));

    // A key light from the left, a weaker one from the right, and one from behind that parts the hair from the background.
    let shadows = CascadeShadowConfigBuilder {
        num_cascades: 1,
        minimum_distance: distance / 10.0,
        maximum_distance: distance * 3.0,
        ..default()
    };
    for (from, illuminance, shadow_maps_enabled) in [
        (Vec3::new(-1.0, 1.0, 1.2), 5_000.0, true),
        (Vec3::new(1.5, 0.3, 1.0), 1_500.0, false),
        (Vec3::new(0.8, 1.0, -1.5), 3_000.0, false),
    ] {
        let light = DirectionalLight { illuminance, shadow_maps_enabled, ..default() };
        let from = Quat::from_rotation_y(front.angle) * from;
        commands.spawn((light, shadows.build(), Transform::from_translation(from).looking_at(Vec3::ZERO, Vec3::Y)));
    }
}

impl Orbit {
    /// Returns the camera's transform.
    fn place(&self) -> Transform {
        let direction = Vec3::new(self.angle.sin(), 0.08, self.angle.cos()).normalize();
        Transform::from_translation(self.center + direction * self.distance).looking_at(self.center, Vec3::Y)
    }
}

fn turn(keys: Res<ButtonInput<KeyCode>>, time: Res<Time>, mut cameras: Query<(&mut Orbit, &mut Transform)>) {
    let turning = f32::from(keys.pressed(KeyCode::ArrowRight)) - f32::from(keys.pressed(KeyCode::ArrowLeft));
    for (mut orbit, mut place) in &mut cameras {
        if turning != 0.0 {
            orbit.angle += turning * time.delta_secs();
            *place = orbit.place();
        }
    }
}

fn toggle(keys: Res<ButtonInput<KeyCode>>, mut cameras: Query<&mut PortraitRealism>) {
    if keys.just_pressed(KeyCode::Space) {
        cameras.iter_mut().for_each(|mut portrait| portrait.enabled = !portrait.enabled);
    }
}
