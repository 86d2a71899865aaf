//! What each path answers.

use super::Views;
use super::api;
use super::export::export;
use super::host::foreign_name;
use super::pins::Pinned;
use super::ready::{Readiness, remarks};
use crate::clock::{self, Instant};
use crate::fault::{Fault, SqlState};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Whoever asks more often than this gets the same text again.
const FRESH: Duration = Duration::from_secs(1);
/// A thread that beats once a second and was not seen for so long is stuck.
const STUCK: Duration = Duration::from_secs(10);

/// Texts of tables that are kept for [`FRESH`]: there are as many as windows and fingerprints can be asked for.
const KEPT_MAX: usize = 64;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

const INDEX: &str = "PgOtter\n\n\
    /metrics  for Prometheus; docs/metrics.md says what each means\n\
    /live     200 while every thread turns\n\
    /ready    200 while every configured database can be reached, as [http] ready asks for it\n\
    /api/v1/  what the console shows, in JSON\n";

/// Answers requests; lives on the endpoint's thread.
pub(super) struct Answers {
    views: Views,
    metrics: RefCell<Option<(Instant, Bytes)>>,
    pinned: RefCell<Pinned>,
    tables: RefCell<HashMap<String, (Instant, Bytes)>>,
    readiness: Readiness,
}

impl Answers {
    pub fn new(views: Views) -> Self {
        Self {
            views,
            metrics: RefCell::default(),
            pinned: RefCell::default(),
            tables: RefCell::default(),
            readiness: Readiness::default(),
        }
    }

    /// A connection has ended: with a whole answer, or otherwise.
    pub fn ended(&self, answered: bool) {
        let process = &self.views.metrics.process;
        let count = if answered { &process.http_answered } else { &process.http_broken };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub async fn to<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let http = &(self.views.config)().http;
        if let Some(name) = foreign_name(request, http.listen, &http.allowed_hosts) {
            let text = format!(
                "this is not \"{}\": ask by IP address or as localhost, or list the name in [http] allowed_hosts\n",
                name.escape_debug()
            );
            return response(StatusCode::MISDIRECTED_REQUEST, TEXT, text);
        }
        let path = request.uri().path();
        if !matches!(path, "/" | "/metrics" | "/live" | "/ready") && !api::is_below(path) {
            return response(StatusCode::NOT_FOUND, TEXT, "there is /metrics, /live, /ready and /api/v1/\n");
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refusal = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET or HEAD\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        match path {
            "/metrics" => response(StatusCode::OK, METRICS, self.metrics()),
            "/live" => judged(self.stuck(), Vec::new()),
            "/ready" => judged(self.readiness.reasons_against(&self.views).await, remarks(&self.views)),
            "/" => response(StatusCode::OK, TEXT, INDEX),
            _ => match self.table(path, request.uri().query()) {
                Some(Ok(text)) => response(StatusCode::OK, JSON, text),
                Some(Err(why)) => response(refused(&why), TEXT, format!("{}\n", why.message)),
                None => response(StatusCode::NOT_FOUND, TEXT, "/api/v1/ lists what there is\n"),
            },
        }
    }

    fn metrics(&self) -> Bytes {
        let now = clock::now();
        let mut last = self.metrics.borrow_mut();
        match &*last {
            Some((at, text)) if now.saturating_duration_since(*at) < FRESH => text.clone(),
            _ => {
                let text = Bytes::from(export(&self.views, &mut self.pinned.borrow_mut(), now));
                *last = Some((now, text.clone()));
                text
            }
        }
    }

    /// Only what there is is kept, not too much of it, and only while it is fresh.
    fn table(&self, path: &str, query: Option<&str>) -> Option<Result<Bytes, Fault>> {
        let key = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
        let now = clock::now();
        let mut last = self.tables.borrow_mut();
        last.retain(|_, (at, _)| now.saturating_duration_since(*at) < FRESH);
        if let Some((_, text)) = last.get(&key) {
            return Some(Ok(text.clone()));
        }
        let answer = api::answer(&self.views, path, query)?.map(Bytes::from);
        if let Ok(text) = &answer
            && last.len() < KEPT_MAX
        {
            last.insert(key, (now, text.clone()));
        }
        Some(answer)
    }

    fn stuck(&self) -> Vec<String> {
        let stuck = self.views.metrics.process.stuck(clock::now(), STUCK);
        stuck
            .into_iter()
            .map(|(thread, silent)| format!("{thread}: no sign of life for {} s", silent.as_secs()))
            .collect()
    }
}

/// Whether there is no such thing, or what was asked for makes no sense.
fn refused(why: &Fault) -> StatusCode {
    if why.sqlstate == SqlState::UNDEFINED_OBJECT { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST }
}

/// 200, or 503 with what is wrong, a line for each; then what else there is to say.
fn judged(wrong: Vec<String>, remarks: Vec<String>) -> Response<Full<Bytes>> {
    let (status, mut lines) = match wrong.is_empty() {
        true => (StatusCode::OK, vec!["ok".to_owned()]),
        false => (StatusCode::SERVICE_UNAVAILABLE, wrong),
    };
    lines.extend(remarks);
    response(status, TEXT, lines.join("\n") + "\n")
}

fn response(status: StatusCode, kind: HeaderValue, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
