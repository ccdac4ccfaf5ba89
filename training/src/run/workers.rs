//! Several workers: replicas of one trainer, each on its own thread and device, that average what they find.
//!
//! All replicas start from the same weights and draw the same crops from the same random numbers; each makes the pixels of its
//! own share of a batch. Gradients and losses are averaged before anyone decides or moves on, so the replicas stay the same,
//! and the same as a single worker's with the whole batch, but for rounding. Averages go through the CPU's memory: a step's
//! gradients are a few megabytes.

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use burn::tensor::backend::Backend;
use burn::tensor::{ElementConversion, Tensor, TensorData};
use thiserror::Error;

use crate::networks::values;

/// One of the replicas that train together. When a worker is dropped, for whatever reason, no other one waits for it.
#[derive(Debug)]
pub struct Worker {
    index: usize,
    meeting: Arc<Meeting>,
}

/// An error of training with several workers: one of them is gone.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "worker {index} of {count} cannot average with the others: one of them has failed, see its message, then resume from \
     the newest checkpoint"
)]
pub struct WorkersError {
    /// Index of the worker that noticed.
    pub index: usize,
    /// Value of `run.workers`.
    pub count: usize,
}

/// The point at which workers wait for each other.
#[derive(Debug)]
struct Meeting {
    count: usize,
    round: Mutex<Round>,
    changed: Condvar,
}

/// One average in the making.
#[derive(Debug)]
struct Round {
    /// Values of each worker, until all have taken the mean.
    given: Vec<Option<Vec<f32>>>,
    /// Mean of all values, once they are complete, and the number of workers that have taken it.
    mean: Option<(Arc<Vec<f32>>, usize)>,
    /// True once a worker is gone.
    broken: bool,
}

impl Worker {
    /// Makes a worker that trains alone.
    pub fn alone() -> Self {
        Self { index: 0, meeting: Arc::new(Meeting::of(1)) }
    }

    /// Makes workers that train together.
    pub fn team(count: usize) -> impl Iterator<Item = Self> {
        let meeting = Arc::new(Meeting::of(count));
        (0..count).map(move |index| Self { index, meeting: Arc::clone(&meeting) })
    }

    /// Returns the index of the worker: 0 for the first one, which validates, writes the log and saves.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the number of workers.
    pub fn count(&self) -> usize {
        self.meeting.count
    }

    /// Returns the indices of this worker's share of `items`, whose number is a multiple of [`count`](Self::count).
    pub fn range(&self, items: usize) -> Range<usize> {
        let each = items / self.count();
        self.index * each..(self.index + 1) * each
    }

    /// Averages the tensors of all workers, which have to have one shape: bit for bit the same result for each.
    ///
    /// # Errors
    /// Fails when another worker is gone.
    pub fn mean<B: Backend, const D: usize>(&self, tensor: Tensor<B, D>) -> Result<Tensor<B, D>, WorkersError> {
        let count = self.count();
        if count == 1 {
            return Ok(tensor);
        }
        let (shape, device) = (tensor.dims(), tensor.device());
        let mean = self.meeting.mean(self.index, values(tensor)).ok_or(WorkersError { index: self.index, count })?;
        Ok(Tensor::from_data(TensorData::new(mean.to_vec(), shape), &device))
    }

    /// Tells every worker whether the flag of any worker is set.
    ///
    /// # Errors
    /// Fails when another worker is gone.
    pub fn any<B: Backend>(&self, flag: bool, device: &B::Device) -> Result<bool, WorkersError> {
        let flag = Tensor::<B, 1>::from_floats([f32::from(u8::from(flag))], device);
        Ok(self.mean(flag)?.into_scalar().elem::<f32>() > 0.0)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.meeting.round().broken = true;
        self.meeting.changed.notify_all();
    }
}

impl Meeting {
    fn of(count: usize) -> Self {
        let round = Round { given: vec![None; count], mean: None, broken: false };
        Self { count, round: Mutex::new(round), changed: Condvar::new() }
    }

    fn round(&self) -> MutexGuard<'_, Round> {
        // A worker that panics leaves a whole round behind: nothing panics while it changes one.
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a worker's values and waits for the mean of all; `None` when another worker is gone.
    fn mean(&self, index: usize, values: Vec<f32>) -> Option<Arc<Vec<f32>>> {
        // The last round may not be over: others have yet to take its mean.
        let mut round = self.wait(self.round(), |round| round.given[index].is_none())?;
        round.given[index] = Some(values);
        if let Some(mean) = round.complete() {
            round.mean = Some((Arc::new(mean), 0));
            self.changed.notify_all();
        }
        // A mean that was made is taken, even if its worker has gone since.
        let mut round = self.wait(round, |round| round.mean.is_some())?;
        let (mean, taken) = round.mean.as_mut()?;
        *taken += 1;
        let (mean, over) = (Arc::clone(mean), *taken == self.count);
        if over {
            round.given.fill(None);
            round.mean = None;
            self.changed.notify_all();
        }
        Some(mean)
    }

    /// Waits until `ready`; `None` when a worker is gone first.
    fn wait<'a>(
        &self,
        mut round: MutexGuard<'a, Round>,
        ready: impl Fn(&Round) -> bool,
    ) -> Option<MutexGuard<'a, Round>> {
        while !ready(&round) {
            if round.broken {
                return None;
            }
            round = self.changed.wait(round).unwrap_or_else(PoisonError::into_inner);
        }
        Some(round)
    }
}

impl Round {
    /// Returns the mean of all workers' values, in the order of the workers, once all have given theirs.
    fn complete(&self) -> Option<Vec<f32>> {
        let given: Vec<&Vec<f32>> = self.given.iter().map(Option::as_ref).collect::<Option<_>>()?;
        let mean = |at: usize| given.iter().map(|values| values[at]).sum::<f32>() / given.len() as f32;
        Some((0..given.first()?.len()).map(mean).collect())
    }
}

#[cfg(all(test, feature = "flex"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::backend::Flex;

    use super::*;

    #[test]
    fn means_are_the_same_for_all_until_one_leaves_and_then_nobody_waits() {
        let work = &|worker: Worker| {
            let device = Default::default();
            let numbers = |at: usize| Tensor::<Flex, 1>::from_floats([at as f32, 0.0, 3.0], &device);
            for round in 0..100 {
                let mean = worker.mean(numbers(worker.index() * round)).unwrap();
                assert_eq!(values(mean), [round as f32, 0.0, 3.0]);
            }
            assert!(worker.any::<Flex>(worker.index() == 1, &device).unwrap());
            assert!(!worker.any::<Flex>(false, &device).unwrap());
            if worker.index() == 2 {
                return;
            }
            let error = worker.mean(numbers(0)).unwrap_err().to_string();
            assert!(error.contains("of 3") && error.contains("resume"), "{error}");
        };
        std::thread::scope(|scope| Worker::team(3).for_each(|worker| drop(scope.spawn(move || work(worker)))));
    }

    #[test]
    fn a_worker_that_panics_is_gone() {
        let mut team = Worker::team(2);
        let (stays, fails) = (team.next().unwrap(), team.next().unwrap());
        let failed = std::thread::spawn(move || {
            let _worker = fails;
            panic!("as the test wants");
        });
        let tensor = Tensor::<Flex, 1>::from_floats([1.0], &Default::default());
        assert_eq!(stays.mean(tensor).unwrap_err(), WorkersError { index: 0, count: 2 });
        failed.join().unwrap_err();
    }

    #[test]
    fn shares_are_parts_of_the_batch_in_order() {
        assert_eq!(Worker::team(2).map(|worker| worker.range(4)).collect::<Vec<_>>(), [0..2, 2..4]);
        assert_eq!(Worker::alone().range(4), 0..4);
    }
}
