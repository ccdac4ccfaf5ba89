//! Several workers: replicas of one trainer, each on its own thread and device, that average what they find.
//!
//! All replicas start from the same weights and draw the same crops from the same random numbers; each makes the pixels of its
//! own share of a batch. Gradients and losses are averaged by `burn-collective` before anyone decides or moves on, so
//! the replicas stay the same, and the same as a single worker's with the whole batch, but for rounding.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::backend::Backend;
use burn::tensor::{ElementConversion, Tensor};
use thiserror::Error;

/// Turn of the runs with several workers: Burn's engine has one set of workers for each process.
static SESSION: Mutex<()> = Mutex::new(());

/// One of the replicas that train together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worker {
    index: usize,
    count: usize,
}

/// An error of training with several workers.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WorkersError {
    /// The engine is not in this build.
    #[error(
        "`run.workers` is {count}, but this program was built for one worker: build it with the Cargo feature \
         `workers`, or set `run.workers = 1`"
    )]
    NotBuilt {
        /// Value of `run.workers`.
        count: usize,
    },
    /// Another worker is gone.
    #[error(
        "worker {index} of {count} cannot average with the others: {what}; one of them has failed, see its message, \
         then resume from the newest checkpoint"
    )]
    Lost {
        /// Index of the worker that noticed.
        index: usize,
        /// Value of `run.workers`.
        count: usize,
        /// Error of the engine.
        what: String,
    },
}

/// The right to use the engine, until this is dropped.
#[derive(Debug)]
pub struct Session {
    _turn: Option<MutexGuard<'static, ()>>,
}

/// A worker's place among the others. When a place is dropped, for whatever reason, nobody waits for anybody any longer.
#[derive(Debug)]
pub struct Place {
    leave: Option<fn()>,
}

impl Session {
    /// Waits for the turn of a run with `count` workers.
    ///
    /// # Errors
    /// Fails when this build serves one worker only.
    pub fn begin(count: usize) -> Result<Self, WorkersError> {
        match count {
            0 | 1 => Ok(Self { _turn: None }),
            _ if cfg!(feature = "workers") => {
                Ok(Self { _turn: Some(SESSION.lock().unwrap_or_else(PoisonError::into_inner)) })
            }
            _ => Err(WorkersError::NotBuilt { count }),
        }
    }
}

impl Worker {
    /// The only worker.
    pub const ALONE: Self = Self { index: 0, count: 1 };

    /// Lists every worker of `count`.
    pub fn all(count: usize) -> impl Iterator<Item = Self> {
        (0..count).map(move |index| Self { index, count })
    }

    /// Returns the index of the worker: 0 for the first one, which validates, writes the log and saves.
    pub fn index(self) -> usize {
        self.index
    }

    /// Returns the number of workers.
    pub fn count(self) -> usize {
        self.count
    }

    /// Returns the indices of this worker's share of `items`, whose number is a multiple of [`count`](Self::count).
    pub fn range(self, items: usize) -> Range<usize> {
        let each = items / self.count;
        self.index * each..(self.index + 1) * each
    }

    /// Takes the place among the others, and returns once all workers have theirs.
    ///
    /// # Errors
    /// Fails when the engine refuses.
    pub fn join<B: Backend>(self, device: &B::Device) -> Result<Place, WorkersError> {
        if self.count == 1 {
            return Ok(Place { leave: None });
        }
        engine::join::<B>(self, device).map_err(|what| self.lost(what))?;
        Ok(Place { leave: Some(engine::leave::<B>) })
    }

    /// Averages the tensors of all workers: bit for bit the same result for each.
    ///
    /// # Errors
    /// Fails when another worker is gone.
    pub fn mean<B: Backend, const D: usize>(self, tensor: Tensor<B, D>) -> Result<Tensor<B, D>, WorkersError> {
        if self.count == 1 {
            return Ok(tensor);
        }
        engine::mean(self, tensor).map_err(|what| self.lost(what))
    }

    /// Tells every worker whether the flag of any worker is set.
    ///
    /// # Errors
    /// Fails when another worker is gone.
    pub fn any<B: Backend>(self, flag: bool, device: &B::Device) -> Result<bool, WorkersError> {
        if self.count == 1 {
            return Ok(flag);
        }
        let mean = self.mean(Tensor::<B, 1>::from_floats([f32::from(u8::from(flag))], device))?;
        Ok(mean.into_scalar().elem::<f32>() > 0.0)
    }

    fn lost(self, what: String) -> WorkersError {
        WorkersError::Lost { index: self.index, count: self.count, what }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(leave) = self.leave {
            leave();
        }
    }
}

#[cfg(feature = "workers")]
mod engine {
    use burn::tensor::backend::Backend;
    use burn::tensor::{Tensor, TensorPrimitive};
    use burn_collective::{CollectiveConfig, PeerId, ReduceOperation, all_reduce, register, reset_collective};

    use super::Worker;

    pub fn join<B: Backend>(worker: Worker, device: &B::Device) -> Result<(), String> {
        let config = CollectiveConfig::default().with_num_devices(worker.count);
        register::<B>(PeerId::from(worker.index), device.clone(), config).map_err(|error| format!("{error:?}"))
    }

    pub fn leave<B: Backend>() {
        reset_collective::<B>();
    }

    pub fn mean<B: Backend, const D: usize>(worker: Worker, tensor: Tensor<B, D>) -> Result<Tensor<B, D>, String> {
        let tensor = tensor.into_primitive().tensor();
        let mean = all_reduce::<B>(PeerId::from(worker.index), tensor, ReduceOperation::Mean);
        mean.map(|mean| Tensor::from_primitive(TensorPrimitive::Float(mean))).map_err(|error| format!("{error:?}"))
    }
}

/// Stands in for an engine that is not in this build, and is never called: [`Session::begin`] refuses several workers.
#[cfg(not(feature = "workers"))]
mod engine {
    use burn::tensor::Tensor;
    use burn::tensor::backend::Backend;

    use super::Worker;

    pub fn join<B: Backend>(_: Worker, _: &B::Device) -> Result<(), String> {
        Err("no engine in this build".into())
    }

    pub fn leave<B: Backend>() {}

    pub fn mean<B: Backend, const D: usize>(_: Worker, _: Tensor<B, D>) -> Result<Tensor<B, D>, String> {
        Err("no engine in this build".into())
    }
}

#[cfg(all(test, feature = "workers", feature = "flex"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::backend::Flex;

    use super::*;

    #[test]
    fn means_are_the_same_for_all_until_one_leaves_and_then_nobody_waits() {
        let _session = Session::begin(3).unwrap();
        let work = &|worker: Worker| {
            let device = Default::default();
            let place = worker.join::<Flex>(&device).unwrap();
            let numbers = |at: usize| Tensor::<Flex, 1>::from_floats([at as f32, 0.0, 3.0], &device);
            let mean = worker.mean(numbers(worker.index())).unwrap().into_data().to_vec::<f32>().unwrap();
            assert_eq!(mean, [1.0, 0.0, 3.0]);
            assert!(worker.any::<Flex>(worker.index() == 1, &device).unwrap());
            assert!(!worker.any::<Flex>(false, &device).unwrap());
            if worker.index() == 2 {
                return drop(place);
            }
            let error = worker.mean(numbers(0)).unwrap_err().to_string();
            assert!(error.contains("of 3") && error.contains("resume"), "{error}");
        };
        std::thread::scope(|scope| Worker::all(3).for_each(|worker| drop(scope.spawn(move || work(worker)))));
    }

    #[test]
    fn shares_are_parts_of_the_batch_in_order() {
        assert_eq!(Worker::all(2).map(|worker| worker.range(4)).collect::<Vec<_>>(), [0..2, 2..4]);
        assert_eq!(Worker::ALONE.range(4), 0..4);
    }
}
