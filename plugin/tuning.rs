//! Which kernels run. The fastest ones are found by trying them in the background on a device of their own, so that neither
//! compiling nor timing them holds a frame up, and are remembered for the adapter and its driver.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bevy::ecs::prelude::*;
use bevy::log::{error, info};
use bevy::math::UVec2;
use bevy::render::render_asset::RenderAssets;
use bevy::render::render_resource::PipelineCache;
use bevy::render::renderer::{RenderAdapter, RenderDevice};
use portrait_network::Model;

use crate::first_use::FirstUses;
use crate::kernel_memory::KernelMemory;
use crate::model_asset::PreparedPortraitModel;
use crate::pipeline::{LayerKey, PortraitPipelines};
use crate::quality::QualityTier;
use crate::variant::{KernelVariant, runs_on_cpu};
use crate::view::PortraitView;
use crate::workbench::{Background, Workbench};

/// Enhanced frames in a row, with no shader of the app being compiled, before a trial begins.
const CALM_FRAMES: u32 = 10;
/// Width and height that the candidates are timed at.
const TRIAL_PX: UVec2 = UVec2::splat(256);
/// Times that each of them is timed, in turn.
const TRIAL_ROUNDS: usize = 7;

/// Which kernels run. Insert it into the [`App`](bevy::app::App) before it runs, to measure or to compare;
/// the weights and the image stay the same but for rounding.
#[derive(Resource, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PortraitKernels {
    /// Those that suit the kind of device, until the fastest ones are known: when the app has started, a thread tries the
    /// [candidates](KernelVariant::candidates). Where compiling them takes long, on the CPU, small kernels run until then, with 128 pixels
    /// a side ([`QualityTier::Fast`]) at most.
    Auto {
        /// File that remembers what is fastest for each adapter and driver, and spares the trial; one that cannot be read is made anew.
        /// Default: `bevy_portrait_realism/kernels.json` in the user's cache folder.
        remembered_in: Option<PathBuf>,
    },
    /// Those that suit the kind of device. Nothing is tried, and nothing is compiled in the background by a driver that does it on first
    /// use.
    Suited,
    /// These, of [`KernelVariant::FAMILY`]. A device that cannot run them says so once, and runs those that suit it.
    Only(KernelVariant),
}

impl Default for PortraitKernels {
    fn default() -> Self {
        Self::Auto {
            remembered_in: cache_folder().map(|folder| folder.join("bevy_portrait_realism").join("kernels.json")),
        }
    }
}

/// The user's folder for what can be made again, if the system has one.
fn cache_folder() -> Option<PathBuf> {
    let named = |variable| env::var_os(variable).map(PathBuf::from).filter(|folder| folder.is_absolute());
    if cfg!(target_os = "windows") {
        named("LOCALAPPDATA")
    } else if cfg!(target_vendor = "apple") {
        env::home_dir().map(|home| home.join("Library/Caches"))
    } else {
        named("XDG_CACHE_HOME").or_else(|| env::home_dir().map(|home| home.join(".cache")))
    }
}

impl PortraitKernels {
    /// The variant to begin with, and what there is to find out.
    pub(crate) fn begin(&self, device: &RenderDevice, adapter: &RenderAdapter) -> (KernelVariant, Tuning) {
        let own = KernelVariant::of(device, adapter);
        match self {
            Self::Suited => (own, Tuning::Done),
            Self::Only(wanted) if !KernelVariant::FAMILY.contains(wanted) => {
                error!("portrait realism: {wanted:?} is not of `KernelVariant::FAMILY`: {own:?} runs instead");
                (own, Tuning::Done)
            }
            Self::Only(wanted) => match wanted.missing_on(device, adapter) {
                None => (*wanted, Tuning::Done),
                Some(missing) => {
                    error!(
                        "portrait realism: this device lacks {missing}, which {wanted:?} needs: {own:?} runs instead"
                    );
                    (own, Tuning::Done)
                }
            },
            Self::Auto { remembered_in } => begin_trial(remembered_in.as_deref(), device, adapter),
        }
    }
}

fn begin_trial(file: Option<&Path>, device: &RenderDevice, adapter: &RenderAdapter) -> (KernelVariant, Tuning) {
    let mut candidates = KernelVariant::candidates(device, adapter);
    let memory = file.map(|path| KernelMemory::new(path, adapter));
    let remembered = memory.as_ref().and_then(KernelMemory::recall).filter(|known| candidates.contains(known));
    match remembered {
        // The driver has compiled them before, or does it while the effect waits.
        Some(known) if !runs_on_cpu(adapter) => return (known, Tuning::Done),
        // A driver that compiles on first use does it in the background, if it has forgotten them.
        Some(known) => candidates = vec![known],
        None => {}
    }
    let is_slow = runs_on_cpu(adapter) && candidates[0].activations == KernelVariant::SMALL.activations;
    let mut stand_ins = KernelVariant::STAND_INS.into_iter().filter(|_| is_slow);
    let small = stand_ins.find(|variant| variant.missing_on(device, adapter).is_none());
    let begin = small.unwrap_or(candidates[0]);
    if candidates == [begin] {
        return (begin, Tuning::Done);
    }
    (begin, Tuning::Planned(Trial { candidates, calm_frames: 0, memory: memory.filter(|_| remembered.is_none()) }))
}

/// Where the search for the fastest kernels is.
#[derive(Resource)]
pub(crate) enum Tuning {
    /// There is nothing to find out any more.
    Done,
    /// It begins once faces are enhanced and the app's shaders are compiled, not to hold up the start.
    Planned(Trial),
    /// A thread tries them.
    Running(Background<Option<Fastest>>),
}

impl Tuning {
    /// The highest tier while `running` kernels draw and `next` ones are to take over: small kernels that stand in for those that are
    /// being compiled would take seconds for more.
    pub fn highest_tier(&self, running: KernelVariant, next: KernelVariant) -> QualityTier {
        let stands_in = running != next || !matches!(self, Self::Done);
        if stands_in && KernelVariant::STAND_INS.contains(&running) { QualityTier::Fast } else { QualityTier::Quality }
    }
}

/// What is tried, and where the outcome is written.
#[derive(Clone)]
pub(crate) struct Trial {
    candidates: Vec<KernelVariant>,
    calm_frames: u32,
    memory: Option<KernelMemory>,
}

/// What a trial found.
pub(crate) struct Fastest {
    variant: KernelVariant,
    /// Its kernels, which have been used.
    layers: Vec<LayerKey>,
}

/// Begins the trial when the app has started, and lets the fastest kernels take over.
pub(crate) fn tune_kernels(
    mut tuning: ResMut<Tuning>,
    mut pipelines: ResMut<PortraitPipelines>,
    mut first_uses: ResMut<FirstUses>,
    (device, adapter): (Res<RenderDevice>, Res<RenderAdapter>),
    cache: Res<PipelineCache>,
    models: Res<RenderAssets<PreparedPortraitModel>>,
    views: Query<&PortraitView>,
) {
    match &mut *tuning {
        Tuning::Done => {}
        Tuning::Planned(trial) => {
            let model = views.iter().find_map(|view| models.get(view.model)?.0.as_ref());
            let Some(model) = model.filter(|_| cache.waiting_pipelines().next().is_none()) else {
                trial.calm_frames = 0;
                return;
            };
            trial.calm_frames += 1;
            if trial.calm_frames < CALM_FRAMES {
                return;
            }
            let (device, adapter) = (device.clone(), adapter.clone());
            let pipelines = pipelines.clone();
            let (trial, model) = (trial.clone(), model.model.clone());
            let running = Background::start("portrait kernels", move |cancelled| {
                let mut workbench = Workbench::new(&device, &adapter, pipelines)?;
                let fastest = fastest(&mut workbench, &trial.candidates, &model, cancelled);
                if let (Some(fastest), Some(memory)) = (&fastest, &trial.memory) {
                    memory.remember(fastest.variant);
                }
                fastest
            });
            *tuning = running.map_or(Tuning::Done, Tuning::Running);
        }
        Tuning::Running(running) => {
            let Some(fastest) = running.outcome().map(Option::flatten) else { return };
            let variant =
                fastest.as_ref().map_or_else(|| KernelVariant::of(&device, &adapter), |fastest| fastest.variant);
            first_uses.add(fastest.into_iter().flat_map(|fastest| fastest.layers));
            info!("portrait realism: {variant:?} from now on");
            pipelines.variant = variant;
            *tuning = Tuning::Done;
        }
    }
}

/// The fastest of the candidates with its kernels, or `None` if no one wants to know any more or none runs.
fn fastest(
    workbench: &mut Workbench,
    candidates: &[KernelVariant],
    model: &Arc<Model>,
    cancelled: &AtomicBool,
) -> Option<Fastest> {
    let gpu = workbench.model(model)?;
    let mut networks = Vec::new();
    for &variant in candidates {
        workbench.take_failure();
        let Some(network) = workbench.network(&gpu, variant, TRIAL_PX) else { continue };
        for kernel in 0..network.kernels() {
            if cancelled.load(Ordering::Relaxed) {
                return None;
            }
            workbench.seconds_of(|encoder, cache| network.record_first_use(kernel, encoder, cache));
        }
        // Whose kernels the driver complains of is out; the others go on.
        if !workbench.take_failure() {
            networks.push((network, Vec::new()));
        }
    }
    // With one candidate there is nothing to compare: it is compiled now.
    let rounds = if networks.len() > 1 { TRIAL_ROUNDS } else { 0 };
    for _ in 0..rounds {
        for (network, seconds) in &mut networks {
            if cancelled.load(Ordering::Relaxed) {
                return None;
            }
            seconds.push(workbench.seconds_of(|encoder, cache| network.record(0, TRIAL_PX, encoder, cache, None)));
        }
    }
    if workbench.take_failure() {
        return None;
    }
    let medians = networks.into_iter().map(|(network, mut seconds)| {
        seconds.sort_by(f64::total_cmp);
        (network, seconds.get(seconds.len() / 2).copied().unwrap_or_default())
    });
    let (network, _) = medians.min_by(|(_, left), (_, right)| left.total_cmp(right))?;
    Some(Fastest { variant: network.plan().variant, layers: network.layer_keys().collect() })
}
