//! The headless Bevy app that photographs scenes, one after another.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bevy::app::{PluginsState, TerminalCtrlCHandlerPlugin};
use bevy::asset::RecursiveDependencyLoadState;
use bevy::gltf::{Gltf, GltfMaterialName};
use bevy::light::cluster::GlobalClusterSettings;
use bevy::light::{
    DirectionalLightShadowMap, EnvironmentMapLight, NotShadowCaster, NotShadowReceiver, PointLightShadowMap,
};
use bevy::log::LogPlugin;
use bevy::prelude::*;
use bevy::render::pipelined_rendering::PipelinedRenderingPlugin;
use bevy::render::render_asset::RenderAssets;
use bevy::render::render_resource::PipelineCache;
use bevy::render::settings::{Backends, RenderCreation, WgpuSettings};
use bevy::render::texture::GpuImage;
use bevy::render::{RenderApp, RenderPlugin, mesh::RenderMesh};
use bevy::window::ExitCondition;
use bevy::winit::WinitPlugin;
use bevy::world_serialization::WorldAssetRoot;
use portrait_files::pixels::{MAX_ENVIRONMENT_PX, Size};
use portrait_files::{FileError, bounded};

use crate::background::Backdrop;
use crate::cameras;
use crate::environment;
use crate::error::DatasetError;
use crate::lights::{self, Bounds};
use crate::linear_image::LinearImage;
use crate::mipmaps;
use crate::readback::{self, GBuffer, GBufferReader};
use crate::rendering::{AntiAliasing, CardAlpha, Rendering};
use crate::scene::{Background, Gradient, LightGroups, Scene};

/// Filter of the log. The renderer warns that lavapipe is slow, which whoever has no GPU knows.
const LOG_FILTER: &str = "wgpu=error,naga=warn,bevy_render::renderer=error";
static LOGGING: AtomicBool = AtomicBool::new(false);

/// Maximum time for loading a glTF file, and for compiling pipelines.
const PATIENCE: Duration = Duration::from_secs(180);
/// Perceptual roughness at which Bevy's diffuse reflection (Burley's) is nearest to Lambert's.
const LAMBERT_ROUGHNESS: f32 = 0.7;
/// Names of the materials of lashes and of head hair, as head_studio exports own people.
const LASHES: &str = "Lashes";
const HAIR: [&str; 2] = ["Hair", "Hair rims"];
/// Maximum width and height of a face of a point light's shadow cube, in texels: it has six faces.
const MAX_POINT_SHADOW_PX: usize = 2048;

/// The images of one scene.
pub struct Shot {
    /// First rendered image, `[H, W] RGB u8`, sRGB.
    pub first: Vec<u8>,
    /// Reference image through the scene's tone mapping, `[H, W] RGB u8`, sRGB.
    pub reference: Vec<u8>,
    /// Normals and depth.
    pub g_buffer: GBuffer,
    /// First image by light group, if the scene has light groups.
    pub light_groups: Option<FirstGroups>,
}

/// The first image's light groups, linear, before exposure and tone mapping.
pub struct FirstGroups {
    /// Head under each light alone, in the order of [`LightGroups::names`].
    pub groups: Vec<LinearImage>,
    /// Share of the background that each pixel shows, 0–1 in every channel.
    pub uncovered: LinearImage,
}

/// A renderer for the scenes of one data folder.
pub struct Studio {
    app: App,
    data: PathBuf,
    g_buffer_reader: GBufferReader,
    environments: HashMap<String, [Handle<Image>; 2]>,
}

impl Studio {
    /// Starts Bevy without a window.
    ///
    /// # Errors
    /// Fails when the data folder does not exist or there is no device.
    ///
    /// # Panics
    /// Bevy itself panics, with a message that says so, where no graphics adapter is found.
    pub fn new(data: &Path) -> Result<Self, DatasetError> {
        let data = std::path::absolute(data).map_err(FileError::io(data))?;
        if !data.is_dir() {
            return Err(DatasetError::DataFolderMissing { path: data });
        }
        let mut app = App::new();
        let window = WindowPlugin { primary_window: None, exit_condition: ExitCondition::DontExit, ..default() };
        let backends = Some(Backends::from_env().unwrap_or(Backends::VULKAN));
        let render_creation = RenderCreation::Automatic(Box::new(WgpuSettings { backends, ..default() }));
        let render = RenderPlugin { render_creation, synchronous_pipeline_compilation: true, ..default() };
        let assets = AssetPlugin { file_path: data.to_string_lossy().into_owned(), ..default() };
        // A process has one logger; the first studio installs it.
        let logging = LOGGING.swap(true, Ordering::Relaxed);
        let log = LogPlugin { level: bevy::log::Level::WARN, filter: LOG_FILTER.into(), ..default() };
        let plugins = DefaultPlugins.set(window).set(render).set(assets).set(log);
        let plugins = plugins.disable::<WinitPlugin>().disable::<TerminalCtrlCHandlerPlugin>();
        let plugins = plugins.disable::<PipelinedRenderingPlugin>();
        app.add_plugins(if logging { plugins.disable::<LogPlugin>() } else { plugins });
        app.insert_resource(GlobalAmbientLight { brightness: 0.0, ..default() });
        app.insert_resource(DirectionalLightShadowMap { size: Rendering::default().shadow_map_px });
        while app.plugins_state() == PluginsState::Adding {
            bevy::tasks::tick_global_task_pools_on_main_thread();
        }
        app.finish();
        app.cleanup();
        // On the GPU, lights reach their clusters some frames late, when a read-back arrives; here every frame counts.
        if let Some(mut clusters) = app.world_mut().get_resource_mut::<GlobalClusterSettings>() {
            clusters.gpu_clustering = None;
        }
        app.update();
        let render_app = app.get_sub_app(RenderApp);
        let render_app = render_app.ok_or_else(|| DatasetError::Renderer("Bevy started without a renderer".into()))?;
        let g_buffer_reader = GBufferReader::new(render_app.world())?;
        Ok(Self { app, data, g_buffer_reader, environments: HashMap::new() })
    }

    /// Photographs the glTF file `glb`, relative to the data folder, in front of `backdrop`, and shows `reference`, an
    /// opaque linear image, through the same tone mapping.
    ///
    /// # Errors
    /// Fails when a file is missing or does not load, or the renderer does not get ready.
    pub fn shoot(
        &mut self,
        scene: &Scene,
        glb: &str,
        backdrop: &Backdrop,
        reference: &LinearImage,
    ) -> Result<Shot, DatasetError> {
        self.on_stage(|studio, stage| {
            studio.set_up(stage, scene, glb)?;
            let first = cameras::spawn_beauty(studio.app.world_mut(), stage, scene, Some(backdrop));
            studio.light_from_environment(scene, first.entity);
            let shown = cameras::spawn_display(studio.app.world_mut(), stage, reference, &scene.rendering);
            let g_buffer = cameras::spawn_g_buffer(studio.app.world_mut(), stage, scene);
            studio.draw(&studio.data.join(glb))?;
            (0..scene.rendering.extra_frames()).for_each(|_| studio.app.update());
            let near_m = scene.camera.near_m;
            let render_world = studio.render_world()?;
            let [first, shown_reference] =
                [&first.target, &shown.target].map(|target| readback::read_target(render_world, target, 4));
            Ok(Shot {
                first: opaque(&first?),
                reference: opaque(&shown_reference?),
                g_buffer: studio.g_buffer_reader.read(render_world_mut(&mut studio.app)?, g_buffer, near_m)?,
                light_groups: match &scene.light_groups {
                    Some(groups) => Some(studio.shoot_light_groups(stage, scene, groups, Path::new(glb))?),
                    None => None,
                },
            })
        })
    }

    /// Photographs the stage again, one light at a time. The stage's own lights and cameras go dark for good.
    fn shoot_light_groups(
        &mut self,
        stage: Entity,
        scene: &Scene,
        groups: &LightGroups,
        path: &Path,
    ) -> Result<FirstGroups, DatasetError> {
        let bounds = self.bounds();
        let world = self.app.world_mut();
        // A camera that is not seen hides its background, which is its child.
        for (mut camera, mut seen) in world.query::<(&mut Camera, &mut Visibility)>().iter_mut(world) {
            (camera.is_active, *seen) = (false, Visibility::Hidden);
        }
        let lamps = world.query_filtered::<Entity, Or<(With<SpotLight>, With<PointLight>, With<DirectionalLight>)>>();
        let lamps: Vec<Entity> = { lamps }.iter(world).collect();
        lamps.into_iter().for_each(|lamp| {
            world.despawn(lamp);
        });
        // Sums of groups are taken before tone mapping, so only what averages linear samples can smooth their edges.
        let anti_aliasing = match scene.rendering.anti_aliasing {
            AntiAliasing::None => AntiAliasing::None,
            _ => AntiAliasing::Msaa4,
        };
        let rendering = Rendering {
            anti_aliasing,
            exposure_ev: 0.0,
            ssao: false,
            contact_shadows: false,
            sharpening: false,
            ..scene.rendering
        };
        let scene = Scene { rendering, ..scene.clone() };
        let camera = cameras::spawn_beauty(self.app.world_mut(), stage, &scene, None);
        let mut made = Vec::new();
        for light in &groups.lights {
            let light = lights::spawn(self.app.world_mut(), stage, light, &scene, &bounds, 1.0);
            made.push(self.shoot_linear(&camera.target, scene.size_px, path)?);
            self.app.world_mut().despawn(light);
        }
        let mut surroundings = scene.clone();
        surroundings.environment.strength = groups.environment_strength;
        self.light_from_environment(&surroundings, camera.entity);
        made.push(self.shoot_linear(&camera.target, scene.size_px, path)?);
        self.app.world_mut().entity_mut(camera.entity).remove::<(EnvironmentMapLight, AmbientLight)>();
        let white = Gradient { bottom_linear: [1.0; 3], top_linear: [1.0; 3] };
        let dark = Scene { background: Background::Gradient(white), ..scene };
        cameras::spawn_background(self.app.world_mut(), camera.entity, &dark, &Backdrop::Gradient(white));
        let uncovered = self.shoot_linear(&camera.target, dark.size_px, path)?;
        Ok(FirstGroups { groups: made, uncovered })
    }

    /// Draws, and reads a target of half floats.
    fn shoot_linear(&mut self, target: &Handle<Image>, size_px: u32, path: &Path) -> Result<LinearImage, DatasetError> {
        self.draw(path)?;
        let bytes = readback::read_target(self.render_world()?, target, 8)?;
        let half = |pair: &[u8]| half::f16::from_le_bytes([pair[0], pair[1]]).to_f32();
        let pixel = |texel: &[u8]| std::array::from_fn(|c| half(&texel[2 * c..]));
        Ok(LinearImage { size: [size_px; 2], pixels: bytes.chunks_exact(8).map(pixel).collect() })
    }

    /// Renders the radiance of a scene of Lambertian surfaces, without tone mapping or background.
    ///
    /// # Errors
    /// Fails as [`Studio::shoot`] does.
    pub fn shoot_radiance(&mut self, scene: &Scene, glb: &str) -> Result<LinearImage, DatasetError> {
        self.on_stage(|studio, stage| {
            studio.set_up(stage, scene, glb)?;
            let camera = cameras::spawn_beauty(studio.app.world_mut(), stage, scene, None);
            studio.light_from_environment(scene, camera.entity);
            studio.make_lambertian();
            studio.shoot_linear(&camera.target, scene.size_px, Path::new(glb))
        })
    }

    /// Shows an opaque linear image through a tone mapping: `[H, W] RGB u8`, sRGB.
    ///
    /// # Errors
    /// Fails when the renderer does not get ready.
    pub fn tone_map(&mut self, image: &LinearImage, rendering: &Rendering) -> Result<Vec<u8>, DatasetError> {
        self.on_stage(|studio, stage| {
            let shown = cameras::spawn_display(studio.app.world_mut(), stage, image, rendering);
            studio.draw(Path::new("tone mapping"))?;
            Ok(opaque(&readback::read_target(studio.render_world()?, &shown.target, 4)?))
        })
    }

    /// Runs `work` on a stage of its own. Everything that is spawned under the stage goes away with it, whatever happens.
    fn on_stage<T>(
        &mut self,
        work: impl FnOnce(&mut Self, Entity) -> Result<T, DatasetError>,
    ) -> Result<T, DatasetError> {
        let stage = self.app.world_mut().spawn((Transform::default(), Visibility::default())).id();
        let result = work(self, stage);
        self.app.world_mut().despawn(stage);
        // One update drops the assets that only the stage held, another frees them in the render world.
        self.app.update();
        self.app.update();
        result
    }

    fn render_world(&self) -> Result<&World, DatasetError> {
        let absent = || DatasetError::Renderer("the render world is gone".into());
        self.app.get_sub_app(RenderApp).map(|render| render.world()).ok_or_else(absent)
    }

    /// Loads environment and geometry, and lights it.
    fn set_up(&mut self, stage: Entity, scene: &Scene, glb: &str) -> Result<(), DatasetError> {
        if scene.environment.strength > 0.0 && !scene.environment.ambient {
            self.load_environment(&scene.environment.file)?;
        }
        let gltf = self.load(glb)?;
        let world = self.app.world_mut();
        let assets = world.resource::<Assets<Gltf>>();
        let no_scene = || DatasetError::Gltf { path: self.data.join(glb), reason: "it has no scene".into() };
        let root =
            assets.get(&gltf).and_then(|gltf| gltf.default_scene.clone().or_else(|| gltf.scenes.first().cloned()));
        world.spawn((WorldAssetRoot(root.ok_or_else(no_scene)?), ChildOf(stage)));
        self.wait_for_geometry(glb)?;
        self.prepare_materials(&scene.rendering);
        self.leave_out_finest_shadows();
        let bounds = self.bounds();
        let world = self.app.world_mut();
        world.resource_mut::<DirectionalLightShadowMap>().size = scene.rendering.shadow_map_px;
        world.resource_mut::<PointLightShadowMap>().size = scene.rendering.shadow_map_px.min(MAX_POINT_SHADOW_PX);
        for light in &scene.lights {
            lights::spawn(world, stage, light, scene, &bounds, scene.rendering.gain());
        }
        Ok(())
    }

    fn load(&mut self, glb: &str) -> Result<Handle<Gltf>, DatasetError> {
        let path = self.data.join(glb);
        let refuse = |reason: String| DatasetError::Gltf { path: path.clone(), reason };
        let mut magic = [0; 4];
        let mut file = std::fs::File::open(&path).map_err(FileError::io(&path))?;
        if std::io::Read::read_exact(&mut file, &mut magic).is_err() || magic != *b"glTF" {
            return Err(refuse(format!("it starts with {magic:?}, not with \"glTF\"")));
        }
        let handle: Handle<Gltf> = self.app.world().resource::<AssetServer>().load(glb.to_owned());
        let started = Instant::now();
        loop {
            self.app.update();
            match self.app.world().resource::<AssetServer>().recursive_dependency_load_state(&handle) {
                RecursiveDependencyLoadState::Loaded => return Ok(handle),
                RecursiveDependencyLoadState::Failed(error) => return Err(refuse(error.to_string())),
                _ if started.elapsed() > PATIENCE => return Err(timeout(&path, "the glTF file did not load")),
                _ => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    fn wait_for_geometry(&mut self, glb: &str) -> Result<(), DatasetError> {
        let started = Instant::now();
        loop {
            self.app.update();
            let world = self.app.world_mut();
            // Bounds come one schedule after the meshes.
            let waiting = world
                .query_filtered::<(), (With<Mesh3d>, Without<bevy::camera::primitives::Aabb>)>()
                .iter(world)
                .count();
            let ready = world.query_filtered::<(), With<bevy::camera::primitives::Aabb>>().iter(world).count();
            if ready > 0 && waiting == 0 {
                return Ok(());
            }
            if started.elapsed() > PATIENCE {
                return Err(timeout(&self.data.join(glb), "no mesh appeared"));
            }
        }
    }

    fn materials(&mut self) -> Vec<Handle<StandardMaterial>> {
        let world = self.app.world_mut();
        world.query::<&MeshMaterial3d<StandardMaterial>>().iter(world).map(|material| material.0.clone()).collect()
    }

    /// Adds mip levels to every texture, and takes masked cards' alpha as coverage where the scene says so.
    fn prepare_materials(&mut self, rendering: &Rendering) {
        let coverage =
            rendering.card_alpha == CardAlpha::AlphaToCoverage && rendering.anti_aliasing == AntiAliasing::Msaa4;
        let handles = self.materials();
        let world = self.app.world_mut();
        world.resource_scope(|world, mut materials: Mut<Assets<StandardMaterial>>| {
            let mut images = world.resource_mut::<Assets<Image>>();
            for handle in handles {
                // Taking the material mutably makes Bevy bind the new textures.
                if let Some(mut material) = materials.get_mut(&handle) {
                    if coverage && matches!(material.alpha_mode, AlphaMode::Mask(_)) {
                        material.alpha_mode = AlphaMode::AlphaToCoverage;
                    }
                    mipmaps::add_to_material(&mut material, &mut images);
                }
            }
        });
    }

    /// Leaves out shadows that are finer than a shadow map, as games do: those of lashes, which dot the eyes, and those of
    /// strands of hair on other hair, which make specks of it. Hair still throws its shadow on the face.
    fn leave_out_finest_shadows(&mut self) {
        let world = self.app.world_mut();
        let mut meshes = world.query_filtered::<(Entity, &GltfMaterialName), With<Mesh3d>>();
        let named: Vec<(Entity, String)> =
            meshes.iter(world).map(|(mesh, material)| (mesh, material.0.to_string())).collect();
        for (mesh, material) in named {
            if material == LASHES {
                world.entity_mut(mesh).insert(NotShadowCaster);
            } else if HAIR.contains(&material.as_str()) {
                world.entity_mut(mesh).insert(NotShadowReceiver);
            }
        }
    }

    fn make_lambertian(&mut self) {
        let handles = self.materials();
        let mut materials = self.app.world_mut().resource_mut::<Assets<StandardMaterial>>();
        for handle in handles {
            if let Some(mut material) = materials.get_mut(&handle) {
                material.reflectance = 0.0;
                material.perceptual_roughness = LAMBERT_ROUGHNESS;
            }
        }
    }

    fn bounds(&mut self) -> Bounds {
        let world = self.app.world_mut();
        let mut meshes = world.query_filtered::<(&bevy::camera::primitives::Aabb, &GlobalTransform), With<Mesh3d>>();
        let (mut low, mut high) = (Vec3::MAX, Vec3::MIN);
        for (bounds, transform) in meshes.iter(world) {
            for corner in 0..8 {
                let sign =
                    Vec3::from_array(std::array::from_fn(|axis| if corner >> axis & 1 == 0 { -1.0 } else { 1.0 }));
                let place =
                    transform.transform_point(Vec3::from(bounds.center) + sign * Vec3::from(bounds.half_extents));
                (low, high) = (low.min(place), high.max(place));
            }
        }
        Bounds { center: (low + high) / 2.0, radius_m: (high - low).length() / 2.0 }
    }

    /// Filters an environment that is new. Its maps reach the GPU while the geometry loads.
    fn load_environment(&mut self, file: &str) -> Result<(), DatasetError> {
        if self.environments.contains_key(file) {
            return Ok(());
        }
        let path = bounded::inside(&self.data, file, "scene.json")?;
        if !path.exists() {
            return Err(FileError::Missing { path, needed_by: "scene.json" }.into());
        }
        let maps = environment::filter(&LinearImage::read_exr(&path, Size::AtMost(MAX_ENVIRONMENT_PX))?);
        let mut images = self.app.world_mut().resource_mut::<Assets<Image>>();
        self.environments.insert(file.to_owned(), maps.map(|map| images.add(map)));
        Ok(())
    }

    fn light_from_environment(&mut self, scene: &Scene, camera: Entity) {
        if scene.environment.ambient {
            let brightness = lights::ambient_brightness(scene.environment.strength * scene.rendering.gain());
            self.app.world_mut().entity_mut(camera).insert(AmbientLight { brightness, ..default() });
            return;
        }
        let Some([diffuse_map, specular_map]) = self.environments.get(&scene.environment.file).cloned() else {
            return;
        };
        let light = EnvironmentMapLight {
            diffuse_map,
            specular_map,
            intensity: scene.environment.strength * scene.rendering.gain(),
            rotation: environment::rotation(scene.environment.rotation_deg),
            ..default()
        };
        self.app.world_mut().entity_mut(camera).insert(light);
    }

    /// Draws until a frame has been drawn with every mesh, texture and pipeline in place.
    fn draw(&mut self, path: &Path) -> Result<(), DatasetError> {
        let started = Instant::now();
        loop {
            let known = self.pipeline_count()?;
            self.app.update();
            // What a new pipeline should have drawn is missing from the frame that asked for it.
            if self.is_ready()? && self.pipeline_count()? == known {
                return Ok(());
            }
            if started.elapsed() > PATIENCE {
                return Err(timeout(path, "textures, meshes and pipelines were not ready"));
            }
        }
    }

    fn pipeline_count(&self) -> Result<usize, DatasetError> {
        Ok(self.render_world()?.resource::<PipelineCache>().pipelines().count())
    }

    fn is_ready(&mut self) -> Result<bool, DatasetError> {
        let world = self.app.world_mut();
        let meshes: Vec<_> = world.query::<&Mesh3d>().iter(world).map(|mesh| mesh.0.id()).collect();
        let images: Vec<_> = self.environments.values().flatten().map(Handle::id).collect();
        let render_world = self.render_world()?;
        let drawn = render_world.resource::<RenderAssets<RenderMesh>>();
        let uploaded = render_world.resource::<RenderAssets<GpuImage>>();
        let waiting = render_world.resource::<PipelineCache>().waiting_pipelines().next();
        Ok(waiting.is_none()
            && meshes.iter().all(|mesh| drawn.get(*mesh).is_some())
            && images.iter().all(|image| uploaded.get(*image).is_some()))
    }
}

fn render_world_mut(app: &mut App) -> Result<&mut World, DatasetError> {
    let absent = || DatasetError::Renderer("the render world is gone".into());
    app.get_sub_app_mut(RenderApp).map(|render| render.world_mut()).ok_or_else(absent)
}

fn timeout(path: &Path, what: &'static str) -> DatasetError {
    DatasetError::Timeout { path: path.into(), what, limit_s: PATIENCE.as_secs() }
}

/// Drops alpha: RGBA to RGB.
fn opaque(rgba: &[u8]) -> Vec<u8> {
    rgba.chunks_exact(4).flat_map(|pixel| &pixel[..3]).copied().collect()
}
