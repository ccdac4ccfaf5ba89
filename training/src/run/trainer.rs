//! Both networks, their optimisers, and one step of training.

use burn::module::{AutodiffModule, Module};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{Adam, AdamConfig, GradientsParams, Optimizer};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::module::avg_pool2d;
use burn::tensor::{ElementConversion, Tensor, TensorData};
use portrait_files::config::{Config, PerceptualConfig};
use portrait_network::{ConvWeights, Graph, Model, Provenance, WeightsError};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

use super::gradients::{gradient_norm, gradient_of, mean_gradients};
use super::report::Losses;
use super::workers::{Worker, WorkersError};
use crate::data::{Batch, BatchTensors};
use crate::losses::{adversarial_weight, edge_l1, flip_loss, gradient_penalty, perceptual_loss, weighted_l1};
use crate::networks::{Critic, Generator, MobileNet};

/// Adam for one network.
pub type NetworkAdam<M, B> = OptimizerAdaptor<Adam, M, B>;

/// Everything that a step reads and changes.
pub struct Trainer<B: AutodiffBackend> {
    /// Makes the second rendered image.
    pub generator: Generator<B>,
    /// Optimiser of the generator.
    pub generator_adam: NetworkAdam<Generator<B>, B>,
    /// Tell the second rendered image from the reference image: the first as they are, the second, if there is one, at half their
    /// width.
    pub critics: Vec<ScaleCritic<B>>,
    /// Sees what L_P compares; `None` where its weight is 0.
    pub perceptual: Option<MobileNet<B>>,
    /// Moving average of the generator's weights, which is validated and exported.
    pub average: Vec<ConvWeights>,
    /// Source of every random choice.
    pub rng: ChaCha8Rng,
    /// Steps done.
    pub step: u64,
    /// Place among the replicas that train together.
    pub worker: Worker,
}

/// The critic of one scale, and its optimiser.
#[derive(Clone)]
pub struct ScaleCritic<B: AutodiffBackend> {
    /// Scores images.
    pub network: Critic<B>,
    /// Optimiser of the critic.
    pub adam: NetworkAdam<Critic<B>, B>,
}

/// The value of a loss of the generator, and the gradient of its weighted value with respect to the second image.
type Pull<B> = (Tensor<B, 1>, Tensor<B, 4>);

/// A reason for which a step changed nothing.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum Rejection {
    /// A batch holds NaN or infinity.
    #[error("the batch holds a value that is not finite")]
    Batch,
    /// A loss or gradient is NaN or infinite.
    #[error("{what} is {value}")]
    Loss {
        /// Name of the loss or gradient.
        what: &'static str,
        /// Value of the loss or gradient.
        value: f64,
    },
    /// Another worker is gone, so that the run is over.
    #[error(transparent)]
    Workers(#[from] WorkersError),
}

impl<B: AutodiffBackend> Trainer<B> {
    /// Makes networks to start from, all decided by `run.seed`.
    pub fn initial(config: &Config, graph: &Graph, device: &B::Device) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(config.run.seed);
        let generator = Generator::initial(graph, rng.random(), device);
        let optimizer = &config.optimizer;
        let adam = AdamConfig::new().with_beta_1(optimizer.beta1).with_beta_2(optimizer.beta2);
        let adam = adam.with_epsilon(optimizer.epsilon);
        let critics = (0..config.critic.scales).map(|_| {
            let network = Critic::initial(&config.critic, &mut rng, device);
            ScaleCritic { network, adam: adam.init() }
        });
        let critics = critics.collect();
        let (average, generator_adam) = (generator.weights(), adam.init());
        let (step, worker) = (0, Worker::alone());
        Self { generator, generator_adam, critics, perceptual: None, average, rng, step, worker }
    }

    /// Starts from the weights of a network of the same layers instead of random ones.
    pub fn start_from(&mut self, model: &Model) {
        self.generator = Generator::from_model(model, &self.device());
        self.average = model.convs().to_vec();
    }

    /// Returns the averaged weights as a network.
    ///
    /// # Errors
    /// Fails when a weight is not finite.
    pub fn average_model(&self, provenance: Provenance) -> Result<Model, WeightsError> {
        Model::new(self.generator.graph().clone(), self.average.clone(), provenance)
    }

    /// Does one step: `critic.steps` times the critic, then the generator, each time on a batch from `draw`, which makes a
    /// worker's share.
    ///
    /// # Errors
    /// Fails when something is not finite. Then only the random numbers have moved on.
    pub fn step(
        &mut self,
        config: &Config,
        mut draw: impl FnMut(&mut ChaCha8Rng, &Worker) -> Batch,
    ) -> Result<Losses, Rejection> {
        let critics_before = self.critics.clone();
        let result = self.try_step(config, &mut draw);
        // The generator moves last, after everything that can fail.
        if result.is_err() {
            self.critics = critics_before;
        }
        result
    }

    fn try_step(
        &mut self,
        config: &Config,
        draw: &mut impl FnMut(&mut ChaCha8Rng, &Worker) -> Batch,
    ) -> Result<Losses, Rejection> {
        // A critic that nobody listens to yet would double the price of a step.
        let first_critic_step = config.critic.first_step.min(config.loss.warm_up_steps);
        let adversarial = config.loss.adv_weight > 0.0 && self.step >= first_critic_step;
        let mut losses = Losses::default();
        // Further critic steps have batches of their own; the last one shares the generator's batch and forward pass.
        for _ in 1..if adversarial { config.critic.steps } else { 1 } {
            let batch = self.draw(draw)?;
            let second = self.generator.valid().forward(batch.planes);
            self.critic_step(config, second, batch.reference, &mut losses)?;
        }
        let batch = self.draw(draw)?;
        let second = self.generator.forward(Tensor::from_inner(batch.planes.clone()));
        if adversarial {
            self.critic_step(config, second.clone().inner(), batch.reference.clone(), &mut losses)?;
        }
        let pull = self.pull(config, second.clone().inner(), batch.reference, batch.weight, &mut losses)?;

        // By the chain rule, Σ second·pull has the gradient of all weighted losses with respect to the weights.
        let mut loss = (second.clone() * Tensor::from_inner(pull)).sum();
        if config.loss.steady_weight > 0.0 {
            let unsteadiness = self.unsteadiness(second, batch.planes);
            [losses.steady] = self.figures(["L_S"], vec![unsteadiness.clone().inner()])?;
            loss = loss + unsteadiness * config.loss.steady_weight;
        }
        let gradients = GradientsParams::from_grads(loss.backward(), &self.generator);
        let gradients = mean_gradients(&self.worker, &self.generator, gradients)?;
        losses.generator_gradient = finite("the generator's gradient", gradient_norm(&self.generator, &gradients))?;
        let rate = config.optimizer.generator_learning_rate * config.rate_share(self.step);
        self.generator = self.generator_adam.step(rate, self.generator.clone(), gradients);
        self.step += 1;
        // Only the first worker validates and saves.
        if self.worker.index() == 0 {
            self.update_average(config.optimizer.ema);
        }
        Ok(losses)
    }

    /// Draws this worker's share of a batch.
    fn draw(
        &mut self,
        draw: &mut impl FnMut(&mut ChaCha8Rng, &Worker) -> Batch,
    ) -> Result<BatchTensors<B::InnerBackend>, Rejection> {
        let batch = draw(&mut self.rng, &self.worker);
        let device = self.device();
        // Each worker sees its own share only, and all have to reject the step together.
        if self.worker.any::<B::InnerBackend>(!batch.is_finite(), &device)? {
            return Err(Rejection::Batch);
        }
        Ok(batch.tensors(&device))
    }

    /// Returns the gradient of the weighted sum of the generator's losses with respect to the second image, and notes the
    /// losses, and how strongly each pulls.
    fn pull(
        &self,
        config: &Config,
        second: Tensor<B::InnerBackend, 4>,
        reference: Tensor<B::InnerBackend, 4>,
        importance: Tensor<B::InnerBackend, 4>,
        losses: &mut Losses,
    ) -> Result<Tensor<B::InnerBackend, 4>, Rejection> {
        // A leaf of its own: what each loss makes of the image costs no pass through the generator.
        let image = Tensor::<B, 4>::from_inner(second).require_grad();
        let (reference, importance) = (Tensor::from_inner(reference), Tensor::from_inner(importance));
        let pulled = |loss: Tensor<B, 1>, weight: f64| -> Pull<B::InnerBackend> {
            (loss.clone().inner(), gradient_of(loss * weight, &image))
        };
        let compared = |loss: fn(_, _, _) -> Tensor<B, 1>, weight: f64| {
            (weight > 0.0).then(|| pulled(loss(image.clone(), reference.clone(), importance.clone()), weight))
        };
        // L1 is told even where it does not count.
        let (l1, l1_pull) =
            pulled(weighted_l1(image.clone(), reference.clone(), importance.clone()), config.loss.l1_weight);
        let edges = compared(edge_l1, config.loss.edge_weight);
        let flip = compared(flip_loss, config.loss.flip_weight);
        let features = self.perceptual.as_ref().map(|network| {
            let PerceptualConfig { weight, layers } = &config.loss.perceptual;
            pulled(perceptual_loss(network, layers, image.clone(), reference.clone(), importance.clone()), *weight)
        });
        // L_G is the mean over scales, so that its weight says how hard all critics pull together.
        let weight = adversarial_weight(&config.loss, self.step) / self.critics.len() as f64;
        let l_g = |scale: usize| {
            let critic = self.critics.get(scale).filter(|_| weight > 0.0)?;
            let score = critic.network.clone().no_grad().forward(at_scale(image.clone(), scale));
            Some(pulled(score.mean().neg(), weight))
        };

        let others = [edges, flip, features, l_g(0), l_g(1)];
        let zero = l1.zeros_like();
        let mut total = l1_pull.clone();
        let (mut values, mut squares) = (vec![l1], vec![squared_strength(l1_pull)]);
        for other in others {
            let (value, square) = match other {
                Some((value, gradient)) => {
                    total = total + gradient.clone();
                    (value, squared_strength(gradient))
                }
                None => (zero.clone(), zero.clone()),
            };
            values.push(value);
            squares.push(square);
        }
        let names = ["L1", "L_E", "L_F", "L_P", "L_G", "L_G at half width"];
        let [l1, edges, flip, features, full, half] = self.figures(names, values)?;
        let names = [
            "L1's gradient",
            "L_E's gradient",
            "L_F's gradient",
            "L_P's gradient",
            "L_G's gradient",
            "the gradient of L_G at half width",
        ];
        let strengths = self.figures(names, squares)?.map(f64::sqrt);
        (losses.l1, losses.edges, losses.flip, losses.perceptual) = (l1, edges, flip, features);
        losses.adversarial = (full + half) / self.critics.len() as f64;
        [
            losses.l1_image_gradient,
            losses.edges_image_gradient,
            losses.flip_image_gradient,
            losses.perceptual_image_gradient,
            losses.adversarial_image_gradient,
            losses.half_adversarial_image_gradient,
        ] = strengths;
        Ok(total)
    }

    /// Returns L_S: the mean absolute difference between a part of the second images and what the network makes of that part of the
    /// first images alone, whose corner lies off the grid of the network's coarse layers. It is 0 for a network that makes the same of a
    /// face wherever it lies, whose residual does not flicker as the face moves.
    fn unsteadiness(&mut self, second: Tensor<B, 4>, planes: Tensor<B::InnerBackend, 4>) -> Tensor<B, 1> {
        let alignment = self.generator.graph().alignment_px();
        let side = (planes.dims()[3] - (alignment - 1)) / alignment * alignment;
        let [x, y] = std::array::from_fn(|_| self.rng.random_range(0..alignment));
        let moved = self.generator.forward(Tensor::from_inner(planes.narrow(2, y, side).narrow(3, x, side)));
        (second.narrow(2, y, side).narrow(3, x, side) - moved).abs().mean()
    }

    /// Averages one number each over all workers, so that every worker accepts or rejects alike.
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

    /// Moves the critics: W and the gradient penalty on random mixtures of second and reference image.
    fn critic_step(
        &mut self,
        config: &Config,
        second: Tensor<B::InnerBackend, 4>,
        reference: Tensor<B::InnerBackend, 4>,
        losses: &mut Losses,
    ) -> Result<(), Rejection> {
        // All workers draw the numbers of the whole batch, so that their random numbers stay the same.
        let share = second.dims()[0];
        let count = share * self.worker.count();
        let mix: Vec<f32> = (0..count).map(|_| self.rng.random()).collect();
        let mix = TensorData::new(mix[self.worker.range(count)].to_vec(), [share, 1, 1, 1]);
        let between = second.clone() + (reference.clone() - second.clone()) * Tensor::from_data(mix, &self.device());
        let rate = config.optimizer.critic_learning_rate * config.rate_share(self.step);
        let mut gradient = 0.0_f64;
        for scale in 0..self.critics.len() {
            let critic = &self.critics[scale].network;
            let penalty = gradient_penalty(critic, at_scale(between.clone(), scale), config.loss.penalty);
            let score = |image: &Tensor<B::InnerBackend, 4>| {
                critic.forward(Tensor::from_inner(at_scale(image.clone(), scale))).mean()
            };
            let wasserstein = score(&second) - score(&reference);
            let figures = vec![wasserstein.clone().inner(), penalty.clone().inner()];
            let figures = self.figures(["W", "the gradient penalty"], figures)?;
            if scale == 0 {
                [losses.wasserstein, losses.penalty] = figures;
            } else {
                [losses.half_wasserstein, losses.half_penalty] = figures;
            }
            let loss = wasserstein + penalty * config.loss.gp_weight;
            let gradients = GradientsParams::from_grads(loss.backward(), critic);
            let gradients = mean_gradients(&self.worker, critic, gradients)?;
            gradient = gradient.hypot(finite("the critic's gradient", gradient_norm(critic, &gradients))?);
            let critic = &mut self.critics[scale];
            critic.network = critic.adam.step(rate, critic.network.clone(), gradients);
        }
        losses.critic_gradient = gradient;
        Ok(())
    }

    /// Moves the average towards the generator's weights. At first it moves faster, so that the initial weights are forgotten.
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

    /// Returns the device on which the networks live.
    pub fn device(&self) -> B::Device {
        self.generator.devices().into_iter().next().unwrap_or_default()
    }
}

/// Returns images as the critic of a scale sees them: at half their width for scale 1, each pixel the mean of four.
fn at_scale<B: Backend>(images: Tensor<B, 4>, scale: usize) -> Tensor<B, 4> {
    if scale == 0 { images } else { avg_pool2d(images, [2, 2], [2, 2], [0, 0], true, false) }
}

/// Returns the square of the strength with which a gradient pulls at the second image, `[1]`; [`Losses`] has its unit.
fn squared_strength<B: Backend>(gradient: Tensor<B, 4>) -> Tensor<B, 1> {
    let values = gradient.shape().num_elements() as f64;
    gradient.square().sum() * values
}

/// Reads a number back from the device, 0 if there is none, and rejects NaN and infinity.
fn finite<B: Backend>(what: &'static str, value: Option<Tensor<B, 1>>) -> Result<f64, Rejection> {
    let value = value.map_or(0.0, |value| value.into_scalar().elem::<f64>());
    if value.is_finite() { Ok(value) } else { Err(Rejection::Loss { what, value }) }
}
