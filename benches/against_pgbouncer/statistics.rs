//! Medians, quartiles and percentiles of a few or of many numbers.

/// Where a handful of measurements lie.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The smallest.
    pub min: f64,
    /// A quarter lies below.
    pub lower_quartile: f64,
    /// Half lies below.
    pub median: f64,
    /// Three quarters lie below.
    pub upper_quartile: f64,
    /// The largest.
    pub max: f64,
}

/// The spread of `values`; NaN throughout if there are none.
pub fn spread(values: &[f64]) -> Spread {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |part| interpolate(&sorted, part);
    Spread { min: at(0.0), lower_quartile: at(0.25), median: at(0.5), upper_quartile: at(0.75), max: at(1.0) }
}

/// The value a `part` (0 to 1) of the sorted values lies below, linear between neighbours.
fn interpolate(sorted: &[f64], part: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = part * last as f64;
    let below = sorted[(place.floor() as usize).min(last)];
    let above = sorted[(place.ceil() as usize).min(last)];
    below + (above - below) * place.fract()
}

/// The median of a handful of values.
pub fn median(values: &[f64]) -> f64 {
    spread(values).median
}

/// The mean; NaN of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The value that 99 % of `values` lie below.
pub fn p99(values: &[f64]) -> f64 {
    quantile(values, 0.99)
}

/// The value that a `part` (0 to 1) of `values` lies below; NaN of nothing.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    interpolate(&sorted, part)
}
