//! Telling webhooks of alerts, on a thread of its own: each webhook has a queue and a connection at a time, so that one that hangs keeps nobody
//! else waiting. What could not be told is tried again, what was answered with 2xx never is.
//!
//! Knows nothing of alerts: what it is given is text.

mod post;

use crate::alerts::{Board, EventEnd, RequestEnd};
use crate::clock::{self, Instant};
use crate::config::{Format, Notify, Webhook};
use bytes::Bytes;
use parking_lot::Mutex;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

/// Messages that wait for one webhook.
const QUEUE: usize = 1_000;

/// Between the first and the second attempt. Each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How often [`Notifier::end`] looks.
const LOOK: Duration = Duration::from_millis(20);

/// One message, in each form.
pub struct Message {
    /// PgOtter's own.
    pub json: Bytes,
    /// Slack's.
    pub slack: Bytes,
}

/// The way to all webhooks. When it is dropped the thread ends.
pub struct Notifier {
    runtime: Handle,
    board: Arc<Board>,
    hooks: Mutex<Hooks>,
    _thread: oneshot::Sender<()>,
}

#[derive(Default)]
struct Hooks {
    open: Vec<Hook>,
    // Taken out, and not done yet when one was last.
    leaving: Vec<Arc<Shared>>,
    tls: Option<TlsConnector>,
}

/// One webhook.
struct Hook {
    shared: Arc<Shared>,
    queue: mpsc::Sender<(Instant, Arc<Message>)>,
    task: JoinHandle<()>,
}

/// What the task of a webhook has in common with who feeds it.
struct Shared {
    webhook: Webhook,
    // Longest attempt, and how long it is tried.
    patience: Mutex<(Duration, Duration)>,
    // Messages in the queue, and the one under way.
    waiting: AtomicUsize,
    tls: Option<TlsConnector>,
    board: Arc<Board>,
}

impl Notifier {
    /// Starts the thread; nobody is told of anything yet.
    ///
    /// # Errors
    /// The system has no thread, or no descriptors for its runtime.
    pub fn start(board: Arc<Board>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (thread, ended) = oneshot::channel::<()>();
        let handle = runtime.handle().clone();
        let run = move || {
            // Ends when the other end is dropped.
            let _ = runtime.block_on(ended);
            runtime.shutdown_background();
        };
        std::thread::Builder::new().name("notify".to_owned()).spawn(run)?;
        Ok(Self { runtime: handle, board, hooks: Mutex::default(), _thread: thread })
    }

    /// From now on these are told. One that stays what it was keeps its queue. Others get what is told of the change itself, `last`, and have
    /// one attempt's time more for all that waits; then it is dropped.
    pub fn configure(&self, notify: &Notify, last: Vec<Message>) {
        let last: Vec<_> = last.into_iter().map(Arc::new).collect();
        let mut hooks = self.hooks.lock();
        let Hooks { open, leaving, tls } = &mut *hooks;
        open.iter_mut().for_each(|hook| last.iter().for_each(|message| self.put(hook, message)));
        let leaves = |hook: &mut Hook| !notify.webhook.contains(&hook.shared.webhook);
        leaving.retain(|shared| shared.waiting.load(Ordering::Relaxed) > 0);
        for hook in open.extract_if(.., leaves) {
            leaving.push(hook.shared.clone());
            self.close(hook);
        }
        for webhook in &notify.webhook {
            let patience = (notify.timeout, notify.retry_for);
            if let Some(known) = open.iter().find(|hook| hook.shared.webhook == *webhook) {
                *known.shared.patience.lock() = patience;
                continue;
            }
            if webhook.tls && tls.is_none() {
                *tls = Some(connector());
            }
            let mut hook = self.open(webhook.clone(), patience, tls.clone());
            last.iter().for_each(|message| self.put(&mut hook, message));
            open.push(hook);
        }
    }

    /// It was taken out.
    fn close(&self, Hook { shared, queue, mut task }: Hook) {
        // The task ends when it has told what there is.
        drop(queue);
        self.runtime.spawn(async move {
            let (timeout, _) = *shared.patience.lock();
            if tokio::time::timeout(timeout, &mut task).await.is_err() {
                task.abort();
            }
            shared.board.deliveries.events(EventEnd::Dropped, shared.waiting.swap(0, Ordering::Relaxed));
        });
    }

    fn open(&self, webhook: Webhook, patience: (Duration, Duration), tls: Option<TlsConnector>) -> Hook {
        let (queue, messages) = mpsc::channel(QUEUE);
        let (patience, waiting) = (Mutex::new(patience), AtomicUsize::new(0));
        let shared = Arc::new(Shared { webhook, patience, waiting, tls, board: self.board.clone() });
        let task = self.runtime.spawn(shared.clone().tell(messages));
        Hook { shared, queue, task }
    }

    /// Tells everybody, as soon as that is possible. Does not wait.
    pub fn send(&self, message: Message) {
        let message = Arc::new(message);
        self.hooks.lock().open.iter_mut().for_each(|hook| self.put(hook, &message));
    }

    fn put(&self, hook: &mut Hook, message: &Arc<Message>) {
        hook.shared.waiting.fetch_add(1, Ordering::Relaxed);
        let entry = (clock::now(), message.clone());
        let Err(error) = hook.queue.try_send(entry) else { return };
        let host = &hook.shared.webhook.host;
        match error {
            TrySendError::Full(_) => {
                hook.shared.waiting.fetch_sub(1, Ordering::Relaxed);
                self.count(EventEnd::Dropped, 1);
                tracing::warn!(host, "too many messages wait for a webhook; one is dropped");
            }
            // A bug in there costs what waited.
            TrySendError::Closed(entry) => {
                tracing::error!(host, "the task that tells a webhook has panicked; it begins anew");
                let lost = hook.shared.waiting.swap(0, Ordering::Relaxed).saturating_sub(1);
                self.count(EventEnd::Dropped, lost);
                let patience = *hook.shared.patience.lock();
                *hook = self.open(hook.shared.webhook.clone(), patience, hook.shared.tls.clone());
                hook.shared.waiting.fetch_add(1, Ordering::Relaxed);
                // There is room in a new one.
                let _ = hook.queue.try_send(entry);
            }
        }
    }

    /// Messages that wait, of all webhooks, also of those that were taken out.
    pub fn waiting(&self) -> usize {
        let hooks = self.hooks.lock();
        let all = hooks.open.iter().map(|hook| &hook.shared).chain(&hooks.leaving);
        all.map(|shared| shared.waiting.load(Ordering::Relaxed)).sum()
    }

    /// Waits until everything is told, but not longer than this. Blocks.
    pub fn end(self, patience: Duration) {
        let since = clock::now();
        while self.waiting() > 0 && clock::now().saturating_duration_since(since) < patience {
            std::thread::sleep(LOOK);
        }
    }

    fn count(&self, end: EventEnd, count: usize) {
        self.board.deliveries.events(end, count);
    }
}

impl Shared {
    async fn tell(self: Arc<Self>, mut messages: mpsc::Receiver<(Instant, Arc<Message>)>) {
        while let Some((since, message)) = messages.recv().await {
            let end = self.deliver(since, &message).await;
            self.board.deliveries.events(end, 1);
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Until it is delivered, refused, or too old.
    async fn deliver(&self, since: Instant, message: &Message) -> EventEnd {
        let body = match self.webhook.format {
            Format::Json => &message.json,
            Format::Slack => &message.slack,
        };
        let (host, mut pause, mut failed) = (&self.webhook.host, FIRST_PAUSE, false);
        loop {
            let (timeout, retry_for) = *self.patience.lock();
            let (end, why) = self.attempt(timeout, body.clone()).await;
            self.board.deliveries.request(end);
            match end {
                RequestEnd::Ok => {
                    if failed {
                        tracing::info!(host, "a webhook answers again");
                    }
                    return EventEnd::Delivered;
                }
                RequestEnd::Refused => {
                    tracing::error!(host, why, "a webhook refuses what it is told; the message is given up");
                    return EventEnd::GivenUp;
                }
                RequestEnd::Failed | RequestEnd::Unreachable | RequestEnd::Timeout => {
                    if clock::now().saturating_duration_since(since) + pause > retry_for {
                        tracing::error!(host, why, "a webhook cannot be told; the message is given up");
                        return EventEnd::GivenUp;
                    }
                    if !failed {
                        tracing::warn!(host, why, "a webhook cannot be told; it is tried again");
                    }
                }
            }
            failed = true;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn attempt(&self, timeout: Duration, body: Bytes) -> (RequestEnd, String) {
        match tokio::time::timeout(timeout, post::send(&self.webhook, self.tls.as_ref(), body)).await {
            Err(_) => (RequestEnd::Timeout, "no answer in time".to_owned()),
            Ok(Err(error)) => (RequestEnd::Unreachable, error.to_string()),
            Ok(Ok(status)) => {
                let end = match status {
                    200..=299 => RequestEnd::Ok,
                    408 | 429 | 500.. => RequestEnd::Failed,
                    _ => RequestEnd::Refused,
                };
                (end, format!("status {status}"))
            }
        }
    }
}

/// Trusts whom this system trusts. Where that is nobody each attempt fails, and says so.
fn connector() -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if usable == 0 {
        tracing::error!("this system has no trusted certificates: no webhook can be told by https");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("invariant: the provider has TLS 1.2 and 1.3");
    TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

#[cfg(test)]
mod tests;
