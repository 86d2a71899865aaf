//! How long statements take: several distributions, in units of whoever asks.

use crate::support::random::Random;

pub const ALL: [Delays; 5] =
    [Delays::Constant, Delays::Uniform, Delays::Exponential, Delays::LogNormal, Delays::Bimodal];

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Delays {
    Constant,
    Uniform,
    Exponential,
    LogNormal,
    Bimodal,
}

impl Delays {
    /// As a part of a table's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Uniform => "uniform",
            Self::Exponential => "exponential",
            Self::LogNormal => "lognormal",
            Self::Bimodal => "bimodal",
        }
    }

    /// One of them, above 0.1; 1 or so in the middle.
    pub fn draw(self, random: &mut Random) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Uniform => 0.2 + 1.8 * share(random),
            Self::Exponential => 0.2 - (1.0 - share(random)).ln(),
            Self::LogNormal => (0.8 * normal(random)).exp().max(0.1),
            Self::Bimodal => (if random.one_in(10) { 8.0 } else { 0.4 }) * (1.0 + 0.1 * share(random)),
        }
    }
}

/// From 0 up to, and without, 1.
fn share(random: &mut Random) -> f64 {
    (random.next() >> 11) as f64 / (1u64 << 53) as f64
}

/// Source: Box and Muller, A Note on the Generation of Random Normal Deviates (1958).
fn normal(random: &mut Random) -> f64 {
    let (one, other) = (1.0 - share(random), share(random));
    (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * other).cos()
}
