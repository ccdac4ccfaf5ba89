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
use crate::loss::{adversarial_weight, gradient_penalty, weighted_l1};
use crate::model::Generator;

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
}

/// The losses of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Losses {
    /// Weighted mean absolute difference, before `l1_weight`.
    pub l1: f64,
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
}

impl<B: AutodiffBackend> Trainer<B> {
    /// Networks to start from, all decided by `run.seed`.
    pub fn initial(config: &Config, graph: &Graph, device: &B::Device) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(config.run.seed);
        let generator = Generator::initial(graph, rng.random(), device);
        let critic = Critic::initial(&config.critic, &mut rng, device);
        let average = generator.weights();
        let (generator_adam, critic_adam) = optimizers(&config.optimizer);
        Self { generator, critic, generator_adam, critic_adam, average, rng, step: 0 }
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
        let adversarial = config.loss.adv_weight > 0.0;
        let mut losses = Losses::default();
        for _ in 1..config.critic.steps {
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

        let reference = Tensor::from_inner(batch.reference);
        let l1 = weighted_l1(second.clone(), reference, Tensor::from_inner(batch.weight));
        let mut loss = l1.clone() * config.loss.l1_weight;
        let weight = adversarial_weight(&config.loss, self.step);
        if weight > 0.0 {
            let judged = Critic::input(&config.critic, second, Tensor::from_inner(first));
            let l_g = self.critic.clone().no_grad().forward(judged).mean().neg();
            losses.adversarial = finite("L_G", &l_g)?;
            loss = loss + l_g * weight;
        }
        losses.l1 = finite("L1", &l1)?;
        let gradients = GradientsParams::from_grads(loss.backward(), &self.generator);
        losses.generator_gradient = gradient_norm("the generator's gradient", &self.generator, &gradients)?;
        let rate = config.optimizer.generator_learning_rate * config.rate_share(self.step);
        self.generator = self.generator_adam.step(rate, self.generator.clone(), gradients);
        self.step += 1;
        self.update_average(config.optimizer.ema);
        Ok(losses)
    }

    fn draw(
        &mut self,
        draw: &mut impl FnMut(&mut ChaCha8Rng) -> Batch,
    ) -> Result<BatchTensors<B::InnerBackend>, Rejection> {
        let batch = draw(&mut self.rng);
        if batch.is_finite() { Ok(batch.tensors(&self.device())) } else { Err(Rejection::Batch) }
    }

    fn critic_step(
        &mut self,
        config: &Config,
        [first, second, reference]: [Tensor<B::InnerBackend, 4>; 3],
        losses: &mut Losses,
    ) -> Result<(), Rejection> {
        let count = second.dims()[0];
        let mix: Vec<f32> = (0..count).map(|_| self.rng.random()).collect();
        let mix = Tensor::from_data(TensorData::new(mix, [count, 1, 1, 1]), &self.device());
        let between = second.clone() + (reference.clone() - second.clone()) * mix;
        let input = |image| Critic::input(&config.critic, image, first.clone());
        let penalty = gradient_penalty(&self.critic, input(between), config.loss.penalty);
        let score = |image| self.critic.forward(Tensor::from_inner(input(image))).mean();
        let wasserstein = score(second) - score(reference);
        losses.wasserstein = finite("W", &wasserstein)?;
        losses.penalty = finite("the gradient penalty", &penalty)?;
        let loss = wasserstein + penalty * config.loss.gp_weight;
        let gradients = GradientsParams::from_grads(loss.backward(), &self.critic);
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
