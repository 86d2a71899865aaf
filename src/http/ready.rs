//! Whether clients could be served, as `[http] ready` means it: of each configured database with several hosts a primary must be confirmed,
//! or any host be fit to serve; where nobody can find that out, or there is one host, it is asked, as `pg_isready` does.
//!
//! It is asked at the moment of the request (answers serve for a second), not concluded from what pools have seen: they
//! ask nobody while they have no clients, and whoever watches /ready may send none before it says yes.

use super::Views;
use crate::clock::{self, Instant};
use crate::cluster::{Watch, server_tcp_options};
use crate::config::Ready;
use crate::net::{Address, TcpOptions, Tls};
use crate::server::{LoginError, knock};
use crate::wire::backend::{self, kind};
use crate::wire::frame::{HEAD, Head};
use crate::wire::frontend;
use bytes::BytesMut;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// An answer serves for this long.
const FRESH: Duration = Duration::from_secs(1);
/// A host gets this long. All are asked at once.
const PATIENCE: Duration = Duration::from_secs(2);
/// A longer first answer is no PostgreSQL's.
const ANSWER: usize = 64 * 1024;
/// PostgreSQL is starting up, shutting down or recovering.
const NOT_YET: &[u8] = b"57P03";

/// The last answer.
#[derive(Default)]
pub(super) struct Readiness(Mutex<Option<(Instant, Vec<String>)>>);

impl Readiness {
    /// What stands against being ready, a line for each database. Whoever asks while somebody else does waits for that
    /// answer.
    pub async fn reasons_against(&self, views: &Views) -> Vec<String> {
        if views.metrics.process.is_stopping() {
            return vec!["shutting down".to_owned()];
        }
        let mut last = self.0.lock().await;
        match &*last {
            Some((at, reasons)) if clock::now().saturating_duration_since(*at) < FRESH => reasons.clone(),
            _ => {
                let reasons = ask_all(views).await;
                *last = Some((clock::now(), reasons.clone()));
                reasons
            }
        }
    }
}

/// Where the configuration has to be believed, and why.
pub(super) fn remarks(views: &Views) -> Vec<String> {
    let remark = |watch: &Arc<Watch>| {
        let why = watch.blindness()?;
        Some(format!("database {}: roles are those of `hosts`: {}", watch.entry.escape_debug(), why.escape_debug()))
    };
    views.cluster.watches().iter().filter_map(remark).collect()
}

/// Databases whose hosts are asked all the time, and none of them is confirmed as the primary, or fit to serve.
fn without_host(watches: &[Arc<Watch>], ready: Ready) -> Vec<String> {
    let serves = |watch: &Watch| watch.primary().is_some() || ready == Ready::AnyHost && watch.has_ready_replica();
    let lacks = |watch: &&Arc<Watch>| watch.entry != "*" && watch.blindness().is_none() && !serves(watch);
    let what = if ready == Ready::AnyHost { "no host can serve" } else { "no primary is confirmed" };
    let line = |watch: &Arc<Watch>| format!("database {}: {what}: {}", watch.entry.escape_debug(), watch.account());
    watches.iter().filter(lacks).map(line).collect()
}

async fn ask_all(views: &Views) -> Vec<String> {
    let config = (views.config)();
    let ready = config.http.ready;
    if ready == Ready::Listening {
        return Vec::new();
    }
    let watches = views.cluster.watches();
    let is_watched = |name: &str| watches.iter().any(|watch| watch.entry == name && watch.blindness().is_none());
    let (options, tls) = (server_tcp_options(&config.pooler), views.tls.load_full());
    let chosen: Vec<_> = views
        .cluster
        .hosts(&config)
        .into_iter()
        .filter(|(name, .., chosen)| (*chosen || ready == Ready::AnyHost) && name != "*" && !is_watched(name))
        .collect();
    let mut asking = BTreeMap::new();
    for (name, address, host, _) in &chosen {
        // A role and a database that exist: PostgreSQL logs a line for those that do not.
        let entry = config.databases.get(name);
        let dbname = entry.and_then(|entry| entry.dbname.as_ref()).unwrap_or(name).clone();
        let role = entry.and_then(|entry| entry.user.as_ref());
        let role = role.or_else(|| config.users.keys().next()).or_else(|| config.pooler.auth_users.keys().next());
        let role = role.map_or("postgres", String::as_str).to_owned();
        asking.entry(address.to_string()).or_insert_with(|| {
            let (address, host, tls) = (address.clone(), host.clone(), tls.clone());
            async move {
                let answer = tokio::time::timeout(PATIENCE, ask(&address, (&options, &tls), &role, &dbname)).await;
                let answer = answer.unwrap_or(Err(LoginError::TimedOut));
                if !answer.as_ref().is_err_and(LoginError::is_our_own) {
                    host.meter.seen(answer.is_ok());
                }
                answer.map_err(|error| error.to_string())
            }
        });
    }
    let answers = together(asking).await;
    let asked = chosen.iter().filter_map(|(name, address, ..)| {
        let address = address.to_string();
        Some((name.as_str(), answers.get(&address)?.as_ref().err().map(|error| format!("{address}: {error}"))))
    });
    against(asked).into_iter().chain(without_host(&watches, ready)).collect()
}

/// A line for each database none of whose hosts has answered well. Of each host that was asked: whose it is, and what is wrong with it.
fn against<'a>(asked: impl Iterator<Item = (&'a str, Option<String>)>) -> Vec<String> {
    let mut databases: BTreeMap<&str, Vec<Option<String>>> = BTreeMap::new();
    asked.for_each(|(name, wrong)| databases.entry(name).or_default().push(wrong));
    let line = |(name, hosts): (&str, Vec<Option<String>>)| {
        let wrong: Vec<String> = hosts.into_iter().collect::<Option<_>>()?;
        let what = if wrong.len() > 1 { "no host can serve: " } else { "" };
        Some(format!("database {}: {what}{}", name.escape_debug(), wrong.join("; ")))
    };
    databases.into_iter().filter_map(line).collect()
}

/// Asks all at once; whoever gives up waiting for the answers ends the asking as well.
async fn together<Q>(questions: BTreeMap<String, Q>) -> BTreeMap<String, Result<(), String>>
where
    Q: Future<Output = Result<(), String>> + 'static,
{
    // As it stays where asking panics.
    let mut answers: BTreeMap<_, _> = questions.keys().map(|of| (of.clone(), Err("no answer".to_owned()))).collect();
    let mut asking = JoinSet::new();
    for (of, question) in questions {
        asking.spawn_local(async move { (of, question.await) });
    }
    while let Some(answer) = asking.join_next().await {
        answers.extend(answer);
    }
    answers
}

/// Begins a login and looks at the first answer: a PostgreSQL that accepts connections asks for a proof, or refuses.
async fn ask(
    address: &Address,
    (options, tls): (&TcpOptions, &Tls),
    role: &str,
    database: &str,
) -> Result<(), LoginError> {
    let mut socket = knock(address, options, tls).await?;
    let mut out = BytesMut::new();
    let parameters = [("user", role), ("database", database), ("application_name", "pgotter")];
    frontend::startup(&mut out, parameters.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    socket.queue(out);
    socket.flush().await?;
    loop {
        if let Some(head) = Head::read(socket.received()) {
            let total = head.frame_len().filter(|total| *total <= ANSWER);
            let total = total.ok_or_else(|| io::Error::other("it does not answer as PostgreSQL does"))?;
            if let Some(body) = socket.received().get(HEAD..total) {
                return Ok(judge(head.kind, body)?);
            }
        }
        socket.recv().await?;
    }
}

fn judge(message: u8, body: &[u8]) -> io::Result<()> {
    match message {
        kind::AUTHENTICATION => Ok(()),
        kind::ERROR_RESPONSE if backend::error_field(body, b'C') != Some(NOT_YET) => Ok(()),
        kind::ERROR_RESPONSE => {
            let words = backend::error_field(body, b'M').unwrap_or(b"not yet");
            Err(io::Error::other(String::from_utf8_lossy(words).escape_debug().to_string()))
        }
        _ => Err(io::Error::other("it does not answer as PostgreSQL does")),
    }
}

#[cfg(test)]
mod tests {
    //! First answers.
    use super::*;
    use std::future::pending;
    use std::rc::Rc;
    use tokio::task::{LocalSet, yield_now};

    #[tokio::test]
    async fn all_are_asked_at_once_and_who_does_not_wait_ends_the_asking() {
        let asked = Rc::new(());
        let questions = || {
            let question = |name: &str| {
                let asked = asked.clone();
                let answer = match name {
                    "good" => Some(Ok(())),
                    "bad" => Some(Err("no".to_owned())),
                    _ => None,
                };
                (name.to_owned(), async move {
                    let _asked = asked;
                    match answer {
                        Some(answer) => answer,
                        None => pending().await,
                    }
                })
            };
            BTreeMap::from(["bad", "good", "silent"].map(question))
        };
        LocalSet::new()
            .run_until(async {
                let mut answerable = questions();
                answerable.remove("silent");
                let answers = together(answerable).await;
                assert_eq!(answers["good"], Ok(()));
                assert_eq!(answers["bad"], Err("no".to_owned()));
                let waiting = tokio::task::spawn_local(together(questions()));
                while Rc::strong_count(&asked) != 2 {
                    yield_now().await;
                }
                waiting.abort();
                for _ in 0..100 {
                    yield_now().await;
                }
                assert_eq!(Rc::strong_count(&asked), 1, "somebody still asks");
            })
            .await;
    }

    #[test]
    fn a_refusal_is_an_answer_unless_it_says_not_yet() {
        assert!(judge(kind::AUTHENTICATION, &[0, 0, 0, 10]).is_ok());
        assert!(judge(kind::ERROR_RESPONSE, b"SFATAL\0C28000\0Mno\0\0").is_ok());
        let error = judge(kind::ERROR_RESPONSE, b"SFATAL\0C57P03\0Mthe database system is starting up\0\0");
        assert_eq!(error.expect_err("not yet").to_string(), "the database system is starting up");
        assert!(judge(b'H', b"TTP").is_err());
    }
}
