//! Both networks, their optimisers, and one step of training.

use burn::module::{AutodiffModule, Module, ModuleVisitor, Param};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{Adam, AdamConfig, GradientsParams, Optimizer};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{ElementConversion, Tensor, TensorData};
use portrait_network::{ConvWeights, Graph, Model, Provenance, WeightsError};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use thiserror::Error;

use crate::batch::{Batch, BatchTensors};
use crate::config::{Config, OptimizerConfig};
use crate::critic::{Critic, JUDGED};
use crate::loss::{adversarial_weight, edge_l1, flip_loss, gradient_penalty, weighted_l1};
use crate::model::Generator;
use crate::workers::{Worker, WorkersError};

/// Adam for one network.
pub type NetworkAdam<M, B> = OptimizerAdaptor<Adam, M, B>;

/// Everything that a step reads and changes.
pub struct Trainer<B: AutodiffBackend> {
    /// Makes the second rendered image.
    pub generator: Generator<B>,
    /// Judges it.
    pub critic: Critic<B>,
    /// The generator's optimiser.
    pub generator_adam: NetworkAdam<Generator<B>, B>,
    /// The critic's optimiser.
    pub critic_adam: NetworkAdam<Critic<B>, B>,
    /// Moving average of the generator's weights: what is validated and exported.
    pub average: Vec<ConvWeights>,
    /// Source of every random choice.
    pub rng: ChaCha8Rng,
    /// Steps done.
    pub step: u64,
    /// Which of the replicas that train together this is.
    pub worker: Worker,
}

/// The losses of one step, over the whole batch of all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Losses {
    /// Weighted mean absolute difference, before `l1_weight`.
    pub l1: f64,
    /// L_E, before `edge_weight`; 0 where it has none.
    pub edges: f64,
    /// L_F, before `flip_weight`; 0 where it has none.
    pub flip: f64,
    /// L_G, before `adv_weight`; 0 in the warm-up.
    pub adversarial: f64,
    /// W = E[D(second)] − E[D(reference)].
    pub wasserstein: f64,
    /// GP, before `gp_weight`.
    pub penalty: f64,
    /// Norm of the generator's gradient.
    pub generator_gradient: f64,
    /// Norm of the critic's gradient.
    pub critic_gradient: f64,
    /// How strongly `l1_weight`·L1 pulls at the second image: RMS over images of √N·‖∇‖, N the values of an image, the
    /// unit in which a critic that fulfils its penalty has 1.
    pub l1_image_gradient: f64,
    /// How strongly the weighted L_G pulls at the second image, in the same unit; 0 in the warm-up.
    pub adversarial_image_gradient: f64,
}

/// Why a step changed nothing.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum Rejection {
    /// A batch holds NaN or infinity.
    #[error("the batch holds a value that is not finite")]
    Batch,
    /// A loss or gradient is NaN or infinite.
    #[error("{what} is {value}")]
    Loss {
        /// Which one.
        what: &'static str,
        /// Its value.
        value: f64,
    },
    /// Another worker is gone; the run is over.
    #[error(transparent)]
    Workers(#[from] WorkersError),
}

impl<B: AutodiffBackend> Trainer<B> {
    /// Networks to start from, all decided by `run.seed`.
    pub fn initial(config: &Config, graph: &Graph, device: &B::Device) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(config.run.seed);
        let generator = Generator::initial(graph, rng.random(), device);
        let critic = Critic::initial(&config.critic, &mut rng, device);
        let average = generator.weights();
        let (generator_adam, critic_adam) = optimizers(&config.optimizer);
        Self { generator, critic, generator_adam, critic_adam, average, rng, step: 0, worker: Worker::ALONE }
    }

    /// The averaged weights as a network.
    ///
    /// # Errors
    /// When a weight is not finite.
    pub fn average_model(&self, provenance: Provenance) -> Result<Model, WeightsError> {
        Model::new(self.generator.graph().clone(), self.average.clone(), provenance)
    }

    /// One step: `critic.steps` times the critic, then the generator, each time on a batch from `draw`.
    ///
    /// # Errors
    /// When something is not finite. Then only the random numbers have moved on.
    pub fn step(
        &mut self,
        config: &Config,
        mut draw: impl FnMut(&mut ChaCha8Rng) -> Batch,
    ) -> Result<Losses, Rejection> {
        let critic_before = (self.critic.clone(), self.critic_adam.clone());
        let result = self.try_step(config, &mut draw);
        if result.is_err() {
            (self.critic, self.critic_adam) = critic_before;
        }
        result
    }

    fn try_step(
        &mut self,
        config: &Config,
        draw: &mut impl FnMut(&mut ChaCha8Rng) -> Batch,
    ) -> Result<Losses, Rejection> {
        let first_critic_step = config.critic.first_step.min(config.loss.warm_up_steps);
        let adversarial = config.loss.adv_weight > 0.0 && self.step >= first_critic_step;
        let mut losses = Losses::default();
        for _ in 1..if adversarial { config.critic.steps } else { 1 } {
            let batch = self.draw(draw)?;
            let first = batch.planes.clone().narrow(1, 0, JUDGED);
            let second = self.generator.valid().forward(batch.planes);
            self.critic_step(config, [first, second, batch.reference], &mut losses)?;
        }
        let batch = self.draw(draw)?;
        let first = batch.planes.clone().narrow(1, 0, JUDGED);
        let second = self.generator.forward(Tensor::from_inner(batch.planes));
        if adversarial {
            let images = [first.clone(), second.clone().inner(), batch.reference.clone()];
            self.critic_step(config, images, &mut losses)?;
        }

        // First the losses' pulls at the image, then both together through the generator.
        let image = Tensor::<B, 4>::from_inner(second.clone().inner()).require_grad();
        let reference = Tensor::from_inner(batch.reference);
        let importance = Tensor::from_inner(batch.weight);
        let l1 = weighted_l1(image.clone(), reference.clone(), importance.clone());
        let l1_pull = gradient_of(l1.clone() * config.loss.l1_weight, &image);
        let nothing = || (l1.zeros_like().inner(), l1_pull.zeros_like());
        let weighted = |loss: fn(_, _, _) -> Tensor<B, 1>, weight: f64| {
            if weight == 0.0 {
                return nothing();
            }
            let loss = loss(image.clone(), reference.clone(), importance.clone());
            (loss.clone().inner(), gradient_of(loss * weight, &image))
        };
        let (edges, edge_pull) = weighted(edge_l1, config.loss.edge_weight);
        let (flip, flip_pull) = weighted(flip_loss, config.loss.flip_weight);
        let weight = adversarial_weight(&config.loss, self.step);
        let (l_g, l_g_pull) = if weight > 0.0 {
            let judged = Critic::input(&config.critic, image.clone(), Tensor::from_inner(first));
            let l_g = self.critic.clone().no_grad().forward(judged).mean().neg();
            (l_g.clone().inner(), gradient_of(l_g * weight, &image))
        } else {
            nothing()
        };
        let values = l1_pull.shape().num_elements() as f64;
        let square = |pull: &Tensor<B::InnerBackend, 4>| pull.clone().square().sum() * values;
        let figures = vec![l1.clone().inner(), edges, flip, l_g, square(&l1_pull), square(&l_g_pull)];
        let [l1, edges, flip, l_g, l1_square, l_g_square] =
            self.figures(["L1", "L_E", "L_F", "L_G", "L1's gradient", "L_G's gradient"], figures)?;
        (losses.l1, losses.edges, losses.flip, losses.adversarial) = (l1, edges, flip, l_g);
        (losses.l1_image_gradient, losses.adversarial_image_gradient) = (l1_square.sqrt(), l_g_square.sqrt());

        let loss = (second * Tensor::from_inner(l1_pull + edge_pull + flip_pull + l_g_pull)).sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &self.generator);
        let gradients = mean_gradients(self.worker, &self.generator, gradients)?;
        losses.generator_gradient = gradient_norm("the generator's gradient", &self.generator, &gradients)?;
        let rate = config.optimizer.generator_learning_rate * config.rate_share(self.step);
        self.generator = self.generator_adam.step(rate, self.generator.clone(), gradients);
        self.step += 1;
        if self.worker.index() == 0 {
            self.update_average(config.optimizer.ema);
        }
        Ok(losses)
    }

    fn draw(
        &mut self,
        draw: &mut impl FnMut(&mut ChaCha8Rng) -> Batch,
    ) -> Result<BatchTensors<B::InnerBackend>, Rejection> {
        let batch = draw(&mut self.rng);
        if !batch.is_finite() {
            return Err(Rejection::Batch);
        }
        let BatchTensors { planes, reference, weight } = batch.tensors(&self.device());
        let share = |tensor| self.worker.share(tensor);
        Ok(BatchTensors { planes: share(planes), reference: share(reference), weight: share(weight) })
    }

    /// The means over all workers of one number each, which every worker accepts or rejects alike.
    fn figures<const N: usize>(
        &self,
        names: [&'static str; N],
        values: Vec<Tensor<B::InnerBackend, 1>>,
    ) -> Result<[f64; N], Rejection> {
        let mean = self.worker.mean(Tensor::cat(values, 0))?;
        let mut figures = [0.0; N];
        for ((figure, what), value) in figures.iter_mut().zip(names).zip(mean.into_data().iter::<f64>()) {
            *figure = if value.is_finite() { value } else { return Err(Rejection::Loss { what, value }) };
        }
        Ok(figures)
    }

    fn critic_step(
        &mut self,
        config: &Config,
        [first, second, reference]: [Tensor<B::InnerBackend, 4>; 3],
        losses: &mut Losses,
    ) -> Result<(), Rejection> {
        let count = second.dims()[0] * self.worker.count();
        let mix: Vec<f32> = (0..count).map(|_| self.rng.random()).collect();
        let mix = self.worker.share(Tensor::from_data(TensorData::new(mix, [count, 1, 1, 1]), &self.device()));
        let between = second.clone() + (reference.clone() - second.clone()) * mix;
        let input = |image| Critic::input(&config.critic, image, first.clone());
        let penalty = gradient_penalty(&self.critic, input(between), config.loss.penalty);
        let score = |image| self.critic.forward(Tensor::from_inner(input(image))).mean();
        let wasserstein = score(second) - score(reference);
        let figures = vec![wasserstein.clone().inner(), penalty.clone().inner()];
        [losses.wasserstein, losses.penalty] = self.figures(["W", "the gradient penalty"], figures)?;
        let loss = wasserstein + penalty * config.loss.gp_weight;
        let gradients = GradientsParams::from_grads(loss.backward(), &self.critic);
        let gradients = mean_gradients(self.worker, &self.critic, gradients)?;
        losses.critic_gradient = gradient_norm("the critic's gradient", &self.critic, &gradients)?;
        let rate = config.optimizer.critic_learning_rate * config.rate_share(self.step);
        self.critic = self.critic_adam.step(rate, self.critic.clone(), gradients);
        Ok(())
    }

    /// Moves the average towards the weights; faster at first, so that the initial weights are soon forgotten.
    fn update_average(&mut self, decay: f32) {
        let steps = self.step as f32;
        let decay = decay.min((1.0 + steps) / (10.0 + steps));
        for (average, now) in self.average.iter_mut().zip(self.generator.weights()) {
            for (average, now) in [(&mut average.weight, now.weight), (&mut average.bias, now.bias)] {
                for (average, now) in average.iter_mut().zip(now) {
                    *average += (now - *average) * (1.0 - decay);
                }
            }
        }
    }

    fn device(&self) -> B::Device {
        self.generator.devices().into_iter().next().unwrap_or_default()
    }
}

/// New optimisers: the generator's and the critic's.
#[allow(clippy::type_complexity)]
pub fn optimizers<B: AutodiffBackend>(
    config: &OptimizerConfig,
) -> (NetworkAdam<Generator<B>, B>, NetworkAdam<Critic<B>, B>) {
    let adam = AdamConfig::new().with_beta_1(config.beta1).with_beta_2(config.beta2).with_epsilon(config.epsilon);
    (adam.init(), adam.init())
}

fn finite<B: Backend>(what: &'static str, value: &Tensor<B, 1>) -> Result<f64, Rejection> {
    let value = value.clone().into_scalar().elem::<f64>();
    if value.is_finite() { Ok(value) } else { Err(Rejection::Loss { what, value }) }
}

/// ∂`loss`/∂`image`, where nothing but `image` is tracked.
fn gradient_of<B: AutodiffBackend>(loss: Tensor<B, 1>, image: &Tensor<B, 4>) -> Tensor<B::InnerBackend, 4> {
    image.grad(&loss.backward()).unwrap_or_else(|| image.zeros_like().inner())
}

/// The means of all workers' gradients.
fn mean_gradients<B: AutodiffBackend, M: Module<B>>(
    worker: Worker,
    network: &M,
    gradients: GradientsParams,
) -> Result<GradientsParams, WorkersError> {
    struct Mean {
        worker: Worker,
        gradients: GradientsParams,
        error: Option<WorkersError>,
    }
    // Each replica's parameters have identifiers of their own, but the same order.
    impl<B: AutodiffBackend> ModuleVisitor<B> for Mean {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            let gradient = self.gradients.remove::<B::InnerBackend, D>(param.id);
            match gradient.map(|gradient| self.worker.mean(gradient)) {
                Some(Ok(mean)) => self.gradients.register(param.id, mean),
                Some(Err(error)) => self.error = Some(error),
                None => {}
            }
        }
    }
    let mut visitor = Mean { worker, gradients, error: None };
    if worker.count() > 1 {
        network.visit(&mut visitor);
    }
    visitor.error.map_or(Ok(visitor.gradients), Err)
}

fn gradient_norm<B: AutodiffBackend, M: Module<B>>(
    what: &'static str,
    network: &M,
    gradients: &GradientsParams,
) -> Result<f64, Rejection> {
    struct SquaredSum<'a, B: AutodiffBackend> {
        gradients: &'a GradientsParams,
        sum: Option<Tensor<B::InnerBackend, 1>>,
    }
    impl<B: AutodiffBackend> ModuleVisitor<B> for SquaredSum<'_, B> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            if let Some(gradient) = self.gradients.get::<B::InnerBackend, D>(param.id) {
                let sum = gradient.square().sum();
                self.sum = Some(match self.sum.take() {
                    Some(before) => before + sum,
                    None => sum,
                });
            }
        }
    }
    let mut visitor = SquaredSum::<B> { gradients, sum: None };
    network.visit(&mut visitor);
    visitor.sum.map_or(Ok(0.0), |sum| finite(what, &sum.sqrt()))
}
