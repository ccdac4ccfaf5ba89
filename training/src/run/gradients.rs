//! Gradients of whole networks: their means over workers and their norms.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;

use super::workers::{Worker, WorkersError};

/// Returns ∂`loss`/∂`image`, where nothing but `image` is tracked. A gradient that Burn has lost is NaN, so that the step is rejected.
pub fn gradient_of<B: AutodiffBackend>(loss: Tensor<B, 1>, image: &Tensor<B, 4>) -> Tensor<B::InnerBackend, 4> {
    image.grad(&loss.backward()).unwrap_or_else(|| image.full_like(f32::NAN).inner())
}

/// Averages the gradients of all workers.
///
/// # Errors
/// Fails when another worker is gone.
pub fn mean_gradients<B: AutodiffBackend, M: Module<B>>(
    worker: &Worker,
    network: &M,
    gradients: GradientsParams,
) -> Result<GradientsParams, WorkersError> {
    struct Mean<'a> {
        worker: &'a Worker,
        gradients: GradientsParams,
        error: Option<WorkersError>,
    }
    // Each replica's parameters have identifiers of their own, but the same order.
    impl<B: AutodiffBackend> ModuleVisitor<B> for Mean<'_> {
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

/// Returns the norm of a network's gradient, `[1]`; `None` for a network without gradients.
pub fn gradient_norm<B: AutodiffBackend, M: Module<B>>(
    network: &M,
    gradients: &GradientsParams,
) -> Option<Tensor<B::InnerBackend, 1>> {
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
    visitor.sum.map(Tensor::sqrt)
}
