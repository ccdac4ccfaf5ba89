//! The losses.
//!
//! Generator: `l1_weight`·L1 + `edge_weight`·L_E + `flip_weight`·L_F + `perceptual.weight`·L_P +
//! `steady_weight`·L_S + `adv_weight`·L_G with L_G = −E[D(second)].
//! Critic: W + `gp_weight`·GP with W = E[D(second)] − E[D(reference)] (Arjovsky et al. 2017) and the gradient penalty
//! of Gulrajani et al. (2017) on images between the two. With two scales there are two critics, the second of images at half their
//! width, and L_G is the mean of both.

mod adversarial;
mod flip;
mod image;
mod perceptual;

pub use adversarial::{adversarial_weight, gradient_penalty, penalty_of};
pub use image::{edge_l1, flip_loss, weighted_l1};
pub use perceptual::perceptual_loss;
