//! Random numbers of which a test can print the seed, and making a failing list of steps small.
//!
//! Knows nothing of what the steps are.

/// SplitMix64: <https://prng.di.unimi.it/splitmix64.c>.
#[derive(Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.next().is_multiple_of(count)
    }

    /// Below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// One of `choices`, of which there is at least one.
    pub fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}

/// What is run where nobody says otherwise: a change is judged by what it changes, and not by chance.
const USUAL: u64 = 11;

/// As [`seed`]; where the variable says nothing, the usual one and one of the moment.
pub fn seeds() -> Vec<u64> {
    match std::env::var("SEED") {
        Ok(_) => vec![seed()],
        Err(_) => vec![USUAL, of_the_moment()],
    }
}

/// From the variable `SEED`: a number, or `random` for one of the moment. Prints it, so that a failure can be had again.
pub fn seed() -> u64 {
    let seed = match std::env::var("SEED").as_deref() {
        Err(_) => USUAL,
        Ok("random") => of_the_moment(),
        Ok(seed) => seed.parse().unwrap_or_else(|_| panic!("SEED={seed}: no number")),
    };
    println!("SEED={seed}");
    seed
}

fn of_the_moment() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    u64::from(now.subsec_nanos())
}

/// The fewest of `steps`, in their order, for which `fails` still says true, as far as leaving out runs of steps gets.
/// Source: Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing Input (2002).
pub fn shrink<T: Clone>(steps: &[T], fails: &mut dyn FnMut(&[T]) -> bool) -> Vec<T> {
    let mut steps = steps.to_vec();
    let mut run = steps.len().div_ceil(2);
    while run > 0 {
        let before = steps.len();
        let mut from = 0;
        while from < steps.len() {
            let to = (from + run).min(steps.len());
            let fewer = [&steps[..from], &steps[to..]].concat();
            if fails(&fewer) { steps = fewer } else { from = to }
        }
        if run > 1 || steps.len() == before {
            run /= 2;
        }
    }
    steps
}
