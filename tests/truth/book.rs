//! How long statements have taken, as those say who know: the server, from having read one to answering it, and the client, from before
//! it sends one until it has the answer. What PgOtter measures lies between the two, of each statement and so of each quantile.

use super::table::Row;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;

/// By table.
#[derive(Default)]
pub struct Book(Mutex<BTreeMap<String, Times>>);

#[derive(Clone, Default)]
pub struct Times {
    pub server: Vec<Duration>,
    pub client: Vec<Duration>,
    // The rest of those that were begun before.
    pub server_more: Duration,
    pub client_more: Duration,
    pub calls: u64,
    pub errors: u64,
    pub rows: u64,
}

impl Book {
    pub fn server(&self, table: &str, took: Duration) {
        self.with(table, |times| times.server.push(took));
    }

    pub fn server_more(&self, table: &str, took: Duration) {
        self.with(table, |times| times.server_more += took);
    }

    pub fn with(&self, table: &str, note: impl FnOnce(&mut Times)) {
        note(self.0.lock().entry(table.to_owned()).or_default());
    }

    pub fn all(&self) -> BTreeMap<String, Times> {
        self.0.lock().clone()
    }
}

impl Times {
    /// What `SHOW QUERIES` says is the truth, or between the two that know of it. Prints how far those are apart.
    #[track_caller]
    pub fn assert_told(&self, table: &str, row: &Row<'_>) -> Apart {
        assert_eq!(row.numbers(["calls", "errors", "rows"]), [self.calls, self.errors, self.rows], "{table}");
        assert_eq!(self.server.len(), self.client.len(), "{table}: both know of the same ones");
        let mut apart = Apart::default();
        for (column, share) in [("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99)] {
            let [least, most] = [&self.server, &self.client].map(|times| quantile(times, share).map(SubBucket::of));
            let (Some(least), Some(most)) = (least, most) else {
                assert_eq!(row.get(column).unwrap_or_default(), "", "{table}: nothing was timed on its own");
                continue;
            };
            let told = SubBucket::of_middle(row.text(column).parse().expect("a number"));
            assert!(
                (least..=most).contains(&told),
                "{table}: {column} is told to be in {told:?}, and is in {least:?} to {most:?}; server: {:?}, client: {:?}",
                quantile(&self.server, share),
                quantile(&self.client, share)
            );
            apart.quantiles += 1;
            apart.within += usize::from(least.next() >= most);
            apart.same += usize::from(least == most);
        }
        let total: f64 = row.text("total_ms").parse().expect("a number");
        let sum = |times: &[Duration], more: Duration| (times.iter().sum::<Duration>() + more).as_secs_f64() * 1e3;
        let (least, most) = (sum(&self.server, self.server_more), sum(&self.client, self.client_more));
        // Each is cut to microseconds.
        let cut = (2 * self.calls + 1) as f64 * 1e-3;
        assert!((least - cut..=most + cut).contains(&total), "{table}: {total} ms, and {least} to {most}");
        apart
    }
}

/// Of so many quantiles, those of which server and client say the same, as far as sub-buckets go, or neighbouring ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Apart {
    pub quantiles: usize,
    pub same: usize,
    pub within: usize,
}

impl std::ops::AddAssign for Apart {
    fn add_assign(&mut self, more: Self) {
        self.quantiles += more.quantiles;
        self.same += more.same;
        self.within += more.within;
    }
}

/// The duration that this share does not exceed: the one of that rank. `None`: there are none.
fn quantile(times: &[Duration], share: f64) -> Option<Duration> {
    let mut times = times.to_vec();
    times.sort_unstable();
    let rank = (share * times.len() as f64).ceil() as usize;
    times.get(rank.max(1) - 1).copied()
}

/// An eighth of an octave of microseconds: exponent, and which eighth. Nothing below 16 µs is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SubBucket(u32, u64);

impl SubBucket {
    fn of(took: Duration) -> Self {
        let us = u64::try_from(took.as_micros()).expect("not for centuries");
        let octave = us.max(8).ilog2();
        if octave < 4 { Self(3, 7) } else { Self(octave, (us << 3 >> octave) - 8) }
    }

    /// What PgOtter tells is a middle, rounded to microseconds.
    #[track_caller]
    fn of_middle(ms: f64) -> Self {
        let found = Self::of(Duration::from_secs_f64(ms / 1e3));
        let Self(octave, eighth) = found;
        let middle = if octave == 3 { 8e-3 } else { f64::from(1u32 << octave) * (8.5 + eighth as f64) / 8.0 * 1e-3 };
        assert!((ms - middle).abs() <= 0.001, "{ms} ms is no middle: that is {middle}");
        found
    }

    fn next(self) -> Self {
        let Self(octave, eighth) = self;
        if eighth == 7 { Self(octave + 1, 0) } else { Self(octave, eighth + 1) }
    }
}
