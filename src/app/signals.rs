//! What each signal asks for: PgBouncer's signals, and what PostgreSQL's tools send. A signal that comes again asks for
//! nothing more, except for the end.
//!
//! | signal | |
//! |---|---|
//! | TERM, INT | transactions may end; a second one ends at once |
//! | QUIT | ends at once |
//! | HUP | reload |
//! | USR1, USR2 | PAUSE and RESUME, of all databases |

use super::operator::{Operator, Shutdown};
use std::io;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens to all of them for ever.
///
/// # Errors
/// The system has no place for a handler.
pub fn listen(operator: &Arc<Operator>) -> io::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        spawn(operator, kind, |operator| operator.shutdown(Shutdown::WaitForTransactions))?;
    }
    spawn(operator, SignalKind::quit(), |operator| operator.shutdown(Shutdown::Now))?;
    let (mut user1, mut user2) = (signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?);
    let pausing = operator.clone();
    tokio::task::spawn_local(async move {
        loop {
            // Which of two came first is not known: clients had better be served in the end.
            tokio::select! {
                biased;
                Some(()) = user1.recv() => pausing.begin_pause(),
                Some(()) = user2.recv() => resume(&pausing),
                else => return,
            }
        }
    });
    let (mut hangup, operator) = (signal(SignalKind::hangup())?, operator.clone());
    tokio::task::spawn_local(async move {
        while hangup.recv().await.is_some() {
            reload(&operator).await;
        }
    });
    Ok(())
}

fn spawn(operator: &Arc<Operator>, kind: SignalKind, act: fn(&Arc<Operator>)) -> io::Result<()> {
    let (mut signal, operator): (Signal, _) = (signal(kind)?, operator.clone());
    tokio::task::spawn_local(async move {
        while signal.recv().await.is_some() {
            act(&operator);
        }
    });
    Ok(())
}

fn resume(operator: &Operator) {
    match operator.resume(None) {
        Ok(()) => tracing::info!("resumed"),
        Err(why) => tracing::info!(%why, "nothing to resume"),
    }
}

/// The service manager is told, as `Type=notify-reload` wants it.
async fn reload(operator: &Operator) {
    use sd_notify::NotifyState;
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        let _ = sd_notify::notify(false, &[NotifyState::Reloading, now]);
    }
    // The operator has logged how it ended.
    let _ = operator.reload().await;
    let _ = sd_notify::notify(false, &[NotifyState::Ready]);
}
