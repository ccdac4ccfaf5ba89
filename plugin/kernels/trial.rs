//! The trial of kernels, on a thread and with a device of its own, so that neither compiling nor timing them holds a frame up.
//! [`PortraitKernels::Fastest`] asks for one, and has the outcome remembered for the adapter and its driver. On software rasterisers, whose
//! drivers take many seconds to compile the kernels that suit them, even a single candidate is compiled here while small kernels stand in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bevy::ecs::prelude::*;
use bevy::log::info;
use bevy::math::UVec2;
use bevy::render::render_asset::RenderAssets;
use bevy::render::render_resource::PipelineCache;
use bevy::render::renderer::{RenderAdapter, RenderDevice};
use portrait_network::Model;

use crate::api::kernels::PortraitKernels;
use crate::api::resolution::ResolutionTier;
use crate::frame::view::PortraitView;
use crate::inference::layer::LayerKey;
use crate::inference::model::PreparedPortraitModel;
use crate::inference::variant::KernelVariant;
use crate::kernels::memory::KernelMemory;
use crate::kernels::warm_up::WarmUp;
use crate::kernels::workbench::{Background, Workbench};
use crate::pipelines::PortraitPipelines;

/// Enhanced frames in a row, with no shader of the app being compiled, before a trial begins.
const CALM_FRAMES: u32 = 10;
/// Width and height that the candidates are timed at, in pixels.
const TRIAL_PX: UVec2 = UVec2::splat(256);
/// Number of times that each candidate is timed, in turn.
const TRIAL_ROUNDS: usize = 7;

/// The state of the search for the fastest kernels.
#[derive(Resource)]
pub(crate) enum KernelTrial {
    /// There is nothing to find out, or no longer.
    Done,
    /// The search begins once faces are enhanced and the app's shaders are compiled, so that it does not hold up the start.
    Planned(Plan),
    /// A thread tries the candidates.
    Running(Background<Option<Fastest>>),
}

/// The candidates, and where the outcome is written.
#[derive(Clone)]
pub(crate) struct Plan {
    candidates: Vec<KernelVariant>,
    calm_frames: u32,
    memory: Option<KernelMemory>,
}

/// The outcome of a trial.
pub(crate) struct Fastest {
    variant: KernelVariant,
    /// The kernels of that variant, which the driver has compiled by now.
    layers: Vec<LayerKey>,
}

impl KernelTrial {
    /// Returns the kernels to begin with, and the trial that is left to do. Drivers that compile on first use begin with kernels that stand
    /// in for those that are still to be compiled.
    pub fn begin(
        kernels: &PortraitKernels,
        compiles_on_first_use: bool,
        device: &RenderDevice,
        adapter: &RenderAdapter,
    ) -> (KernelVariant, Self) {
        let (candidates, memory) = match kernels {
            PortraitKernels::Suited => (vec![KernelVariant::of(device, adapter)], None),
            PortraitKernels::Fastest { remembered_in } => {
                let candidates = KernelVariant::candidates(device, adapter);
                let memory = remembered_in.as_deref().map(|path| KernelMemory::new(path, adapter));
                let known = memory.as_ref().and_then(KernelMemory::recall).filter(|known| candidates.contains(known));
                // What is remembered need not be tried, nor written again.
                known.map_or((candidates, memory), |known| (vec![known], None))
            }
        };
        let stand_in = KernelVariant::CPU_SMALL;
        let stands_in = compiles_on_first_use
            && stand_in.missing_on(device, adapter).is_none()
            && stand_in.activations == candidates[0].activations;
        let begin = if stands_in { stand_in } else { candidates[0] };
        if candidates == [begin] {
            return (begin, Self::Done);
        }
        (begin, Self::Planned(Plan { candidates, calm_frames: 0, memory }))
    }

    /// Returns the highest resolution while `running` kernels draw and `chosen` ones are to take over: kernels that stand in would take
    /// seconds for more than the lowest.
    pub fn max_tier(&self, running: KernelVariant, chosen: KernelVariant) -> ResolutionTier {
        let stands_in = running != chosen || !matches!(self, Self::Done);
        if stands_in && running == KernelVariant::CPU_SMALL { ResolutionTier::Low } else { ResolutionTier::High }
    }
}

/// Begins the trial when the app has started, and lets the fastest kernels take over.
pub(crate) fn run_trial(
    mut trial: ResMut<KernelTrial>,
    mut pipelines: ResMut<PortraitPipelines>,
    mut warm_up: ResMut<WarmUp>,
    (device, adapter): (Res<RenderDevice>, Res<RenderAdapter>),
    cache: Res<PipelineCache>,
    models: Res<RenderAssets<PreparedPortraitModel>>,
    views: Query<&PortraitView>,
) {
    match &mut *trial {
        KernelTrial::Done => {}
        KernelTrial::Planned(plan) => {
            let mut regions = views.iter().flat_map(|view| &view.regions);
            let model = regions.find_map(|region| models.get(region.model)?.0.as_ref());
            let Some(model) = model.filter(|_| cache.waiting_pipelines().next().is_none()) else {
                plan.calm_frames = 0;
                return;
            };
            plan.calm_frames += 1;
            if plan.calm_frames < CALM_FRAMES {
                return;
            }
            let (device, adapter) = (device.clone(), adapter.clone());
            let pipelines = pipelines.clone();
            let (plan, model) = (plan.clone(), model.model.clone());
            let running = Background::start("portrait kernels", move |cancelled| {
                let mut workbench = Workbench::new(&device, &adapter, pipelines)?;
                let fastest = fastest(&mut workbench, &plan.candidates, &model, cancelled);
                if let (Some(fastest), Some(memory)) = (&fastest, &plan.memory) {
                    memory.remember(fastest.variant);
                }
                fastest
            });
            *trial = running.map_or(KernelTrial::Done, KernelTrial::Running);
        }
        KernelTrial::Running(running) => {
            let Some(fastest) = running.outcome().map(Option::flatten) else { return };
            let variant =
                fastest.as_ref().map_or_else(|| KernelVariant::of(&device, &adapter), |fastest| fastest.variant);
            warm_up.add(fastest.into_iter().flat_map(|fastest| fastest.layers));
            info!("portrait realism: {variant:?} from now on");
            pipelines.variant = variant;
            *trial = KernelTrial::Done;
        }
    }
}

/// Returns the fastest of the candidates with its kernels, or `None` if the trial was cancelled or no candidate runs.
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
        // A candidate whose kernels the driver complains of is out; the others go on.
        if !workbench.take_failure() {
            networks.push((network, Vec::new()));
        }
    }
    // A single candidate has been compiled, and there is nothing to compare it with. Several are timed in turn, so that a busy moment slows
    // all of them alike.
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
