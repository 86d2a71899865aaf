//! Metric families in Prometheus' terms. Knows how they look, not what they mean.

use crate::metrics::{Histogram, LADDER};
use prometheus::proto::{self, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

/// Families in the order they were begun.
#[derive(Default)]
pub(super) struct Families(Vec<MetricFamily>);

impl Families {
    pub fn counter(&mut self, name: &str, help: &str) -> Family<'_> {
        self.begin(name, help, MetricType::COUNTER)
    }

    pub fn gauge(&mut self, name: &str, help: &str) -> Family<'_> {
        self.begin(name, help, MetricType::GAUGE)
    }

    pub fn histogram(&mut self, name: &str, help: &str) -> Family<'_> {
        self.begin(name, help, MetricType::HISTOGRAM)
    }

    fn begin(&mut self, name: &str, help: &str, kind: MetricType) -> Family<'_> {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        Family { family, families: &mut self.0 }
    }

    /// As Prometheus reads it. Families without a sample are left out.
    pub fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.0, &mut text).expect("invariant: every family has a name, a type and a sample");
        text
    }
}

/// One family; joins the others when dropped.
pub(super) struct Family<'a> {
    family: MetricFamily,
    families: &'a mut Vec<MetricFamily>,
}

impl Family<'_> {
    /// Adds a counter's or gauge's sample.
    pub fn value(&mut self, labels: &[(&str, &str)], value: f64) {
        let mut metric = Metric::from_label(pairs(labels));
        if self.family.get_field_type() == MetricType::COUNTER {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.family.mut_metric().push(metric);
    }

    /// The same, for what is counted one by one. Beyond 2^53 the last digits are lost, as in all of Prometheus.
    pub fn count(&mut self, labels: &[(&str, &str)], count: impl TryInto<u64>) {
        self.value(labels, count.try_into().unwrap_or(u64::MAX) as f64);
    }

    /// Adds a histogram.
    pub fn durations(&mut self, labels: &[(&str, &str)], durations: &Histogram) {
        let mut histogram = proto::Histogram::default();
        let (mut below, mut buckets) = (0, Vec::with_capacity(LADDER.len()));
        for (bound, count) in LADDER.iter().zip(durations.buckets) {
            below += count;
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(bound.as_secs_f64());
            bucket.set_cumulative_count(below);
            buckets.push(bucket);
        }
        histogram.set_bucket(buckets);
        histogram.set_sample_count(durations.count());
        histogram.set_sample_sum(durations.sum_us as f64 / 1e6);
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_histogram(histogram);
        self.family.mut_metric().push(metric);
    }
}

impl Drop for Family<'_> {
    fn drop(&mut self) {
        if !self.family.get_metric().is_empty() {
            self.families.push(std::mem::take(&mut self.family));
        }
    }
}

fn pairs(labels: &[(&str, &str)]) -> Vec<LabelPair> {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    labels.iter().map(pair).collect()
}
