//! `pgotter demo`: a primary, two streaming replicas, PgOtter in front, a mixed load, and a line to try. Everything
//! lives in one temporary folder; Ctrl-C, SIGTERM, a closed terminal and the end of `--for` leave nothing behind.

pub mod load;
mod report;
mod stage;

use crate::cli::local_postgres::Error;
use load::Load;
use report::Report;
use stage::Stage;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// A line is printed this often.
const EVERY: Duration = Duration::from_secs(2);
/// What PgOtter has to end in order, with perhaps a psql of the user's still connected.
const GRACE: Duration = Duration::from_secs(3);

/// `pgotter demo`
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Ends by itself after this time, with a summary; exit status 1 if anything failed. Such as 30s, 5m; at least 1s.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,
}

/// Runs the demo to its end. 0: all went well, 1: it did not, and says why.
pub fn run(args: Args) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure(&Error::io("start the runtime")(error)),
    };
    match runtime.block_on(demo(args)) {
        Ok(code) => code,
        Err(error) => failure(&error),
    }
}

fn failure(error: &Error) -> ExitCode {
    report::say(&format!("pgotter demo: {error}"));
    ExitCode::FAILURE
}

async fn demo(args: Args) -> Result<ExitCode, Error> {
    // Before the first server starts: from here on every signal means an orderly end.
    let mut farewell = Farewell::listen()?;
    let Some(mut stage) = set_up(&mut farewell).await? else { return Ok(ExitCode::SUCCESS) };
    stage.announce();
    let mut load = Load::start(&stage.state, &stage.target, args.duration, EVERY)?;
    let watched = watch(&mut stage, &mut load, &mut farewell).await;
    let ended_well = match watched {
        Watched::LoadEnded => load.finish().await,
        Watched::Asked => load.stop().await,
        Watched::PoolerDied => {
            load.stop().await;
            false
        }
    };
    let report = Report::take(&mut stage, &mut load);
    report.summary();
    let good = ended_well && report.nothing_failed();
    if !good {
        report.reasons(&stage);
    }
    stage.pooler.stop(GRACE);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `None`: a signal came first.
async fn set_up(farewell: &mut Farewell) -> Result<Option<Stage>, Error> {
    let unwanted = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&unwanted);
    let mut setting_up = tokio::task::spawn_blocking(move || Stage::set_up(&seen));
    let finished = tokio::select! {
        finished = &mut setting_up => finished,
        () = farewell.asked() => {
            // It stops after the step it is in; what it has started goes when it is dropped.
            unwanted.store(true, Ordering::Relaxed);
            setting_up.await
        }
    };
    match finished {
        Ok(Err(_)) if unwanted.load(Ordering::Relaxed) => Ok(None),
        Ok(stage) => stage.map(|stage| stage.filter(|_| !unwanted.load(Ordering::Relaxed))),
        Err(panic) => Err(Error::io("set the demo up")(panic.into())),
    }
}

enum Watched {
    LoadEnded,
    Asked,
    PoolerDied,
}

async fn watch(stage: &mut Stage, load: &mut Load, farewell: &mut Farewell) -> Watched {
    let mut tick = interval_at(Instant::now() + EVERY, EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = farewell.asked() => return Watched::Asked,
            () = load.ended() => return Watched::LoadEnded,
            _ = tick.tick() => {}
        }
        if stage.pooler.ended().is_some() {
            return Watched::PoolerDied;
        }
        Report::take(stage, load).line();
    }
}

/// The three ways a user says goodbye.
struct Farewell([Signal; 3]);

impl Farewell {
    fn listen() -> Result<Self, Error> {
        let on = |kind| signal(kind).map_err(Error::io("watch for signals"));
        Ok(Self([on(SignalKind::interrupt())?, on(SignalKind::terminate())?, on(SignalKind::hangup())?]))
    }

    /// Cancel-safe.
    async fn asked(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// `30s`, `5m`, `1h`, or seconds without a unit.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a time such as 30s, 5m or 1h, not \"{text}\"");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let seconds = match text.strip_prefix(digits).unwrap_or_default() {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    match number.checked_mul(seconds) {
        Some(seconds @ 1..=100_000_000) => Ok(Duration::from_secs(seconds)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests;
