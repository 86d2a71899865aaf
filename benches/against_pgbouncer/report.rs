//! The table: what was measured, the bar, and whether it was met.

use crate::lab::Lab;
use crate::statistics::{Spread, median, spread};
use std::error::Error;
use std::fmt;

/// What a row must reach.
#[derive(Clone, Copy)]
pub enum Bar {
    /// The median of the ratios candidate / PgBouncer.
    RatioAtMost(f64),
    /// The same, the other way.
    RatioAtLeast(f64),
    /// The candidate's own median, whatever PgBouncer does.
    AtMost(f64),
    /// The same, the other way.
    AtLeast(f64),
    /// The candidate's own median against what an objective asks for: target, acceptable, critical.
    Objective([f64; 3]),
    /// For information.
    None,
}

/// One line: the same thing measured on both, pair by pair.
pub struct Row {
    /// In words.
    pub what: String,
    /// Behind the numbers; "" for a bare ratio.
    pub unit: &'static str,
    /// See [`Bar`].
    pub bar: Bar,
    /// One value for each pair.
    pub candidate: Vec<f64>,
    /// Measured just before it. Empty where it has no part in this.
    pub pgbouncer: Vec<f64>,
}

impl Row {
    fn ratios(&self) -> Spread {
        let ratios: Vec<f64> = self.candidate.iter().zip(&self.pgbouncer).map(|(ours, theirs)| ours / theirs).collect();
        spread(&ratios)
    }

    fn verdict(&self) -> &'static str {
        let met = match self.bar {
            Bar::RatioAtMost(most) => self.ratios().median <= most,
            Bar::RatioAtLeast(least) => self.ratios().median >= least,
            Bar::AtMost(most) => median(&self.candidate) <= most,
            Bar::AtLeast(least) => median(&self.candidate) >= least,
            Bar::Objective([target, acceptable, critical]) => {
                return match median(&self.candidate) {
                    value if value <= target => "met",
                    value if value <= acceptable => "missed, acceptable",
                    value if value <= critical => "missed, not acceptable",
                    _ => "missed, critical",
                };
            }
            Bar::None => return "",
        };
        if met { "met" } else { "missed" }
    }

    fn bar_in_words(&self) -> String {
        match self.bar {
            Bar::RatioAtMost(most) => format!("≤ {most} ×"),
            Bar::RatioAtLeast(least) => format!("≥ {least} ×"),
            Bar::AtMost(most) => format!("≤ {}", self.with_unit(most)),
            Bar::AtLeast(least) => format!("≥ {}", self.with_unit(least)),
            Bar::Objective([target, acceptable, critical]) => {
                format!("≤ {target} / {acceptable} / {critical} {}", self.unit)
            }
            Bar::None => String::new(),
        }
    }

    /// Three significant digits, or all of a large number.
    fn with_unit(&self, value: f64) -> String {
        if value.is_nan() {
            return "—".to_owned();
        }
        let digits = match value.abs() {
            small if small < 10.0 => 2,
            middle if middle < 100.0 => 1,
            _ => 0,
        };
        format!("{value:.digits$} {}", self.unit).trim_end().to_owned()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ratios = self.ratios();
        // Growth of nothing at all has no ratio.
        let middle = if ratios.median.is_finite() { format!("{:.3}", ratios.median) } else { "—".to_owned() };
        let around = if !(ratios.min.is_finite() && ratios.max.is_finite()) {
            "—".to_owned()
        } else if self.candidate.len() > 1 {
            let Spread { min, lower_quartile, upper_quartile, max, .. } = ratios;
            format!("{lower_quartile:.3}–{upper_quartile:.3} ({min:.3}–{max:.3})")
        } else {
            "one run".to_owned()
        };
        write!(
            out,
            "| {} | {} | {middle} | {around} | {} | {} | {} |",
            self.what,
            self.bar_in_words(),
            self.with_unit(median(&self.candidate)),
            self.with_unit(median(&self.pgbouncer)),
            self.verdict()
        )
    }
}

/// All rows of a run, and what could not run.
pub struct Report {
    about: String,
    candidate: &'static str,
    self_check: bool,
    rows: Vec<Row>,
    failures: Vec<String>,
}

impl Report {
    /// An empty one for this lab.
    pub fn new(lab: &Lab) -> Report {
        Report {
            about: lab.description(),
            candidate: lab.candidate_name(),
            self_check: lab.options.self_check,
            rows: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Puts rows at the end. In a self-check nobody is judged.
    pub fn add(&mut self, rows: Vec<Row>) {
        let bar = |row: &Row| if self.self_check { Bar::None } else { row.bar };
        self.rows.extend(rows.into_iter().map(|row| Row { bar: bar(&row), ..row }));
    }

    /// Notes that a group has no rows, and why.
    pub fn could_not_run(&mut self, group: &str, why: &dyn Error) {
        self.failures.push(format!("{group}: {why}"));
    }

    /// Whether everything ran.
    pub fn complete(&self) -> bool {
        self.failures.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}\n", self.about)?;
        writeln!(
            out,
            "| what | bar | ratio, median | ratio, quartiles (min–max) | {} | PgBouncer | verdict |",
            self.candidate
        )?;
        writeln!(out, "|---|---|---|---|---|---|---|")?;
        for row in &self.rows {
            writeln!(out, "{row}")?;
        }
        for failure in &self.failures {
            writeln!(out, "\nCould not run: {failure}")?;
        }
        Ok(())
    }
}
