//! Hosts' names that come to lead elsewhere: servers at the addresses that such a name had before are replaced. A new
//! connection looks its host's name up by itself and needs nothing of this.

use super::Cluster;
use crate::clock;
use crate::net::resolve;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

/// How soon a reload is noticed.
const LOOK: Duration = Duration::from_secs(1);

/// An address is lost to its name after this many answers in a row without it.
const LOST: u64 = 3;

/// As [`LOST`], of a name that has brought an address back within so many answers: it rotates. Where each answer is one of
/// eight addresses at random, 40 in a row lack a given one about once in 1,600 answers, 7 hours with the defaults; servers
/// live for one.
const LOST_IN_ROTATION: u64 = 40;

/// What a name was answered with. An answer holds some thousand addresses at most, and this 41 answers.
#[derive(Debug, Default)]
struct Answers {
    count: u64,
    addresses: HashMap<IpAddr, Known>,
    /// The number of the last answer with an address that the answer before it lacked.
    returned: Option<u64>,
}

/// What is known of an address of a name.
#[derive(Debug)]
struct Known {
    /// The number of the last answer with it; of one that no answer has had, of the last before somebody was there.
    latest: u64,
    answered: bool,
}

impl Cluster {
    /// Looks up the names of all hosts every `dns_max_ttl`, for ever, one name after the other: a resolver that does not
    /// answer holds up one thread. Nobody's request waits for it.
    pub async fn follow_names(&self) {
        let mut known = HashMap::new();
        let mut last = clock::now();
        loop {
            let every = self.books.lock().config.pooler.dns_max_ttl;
            tokio::time::sleep(every.unwrap_or(LOOK).min(LOOK)).await;
            if every.is_some_and(|every| clock::now().saturating_duration_since(last) >= every) {
                last = clock::now();
                self.look_names_up(&mut known).await;
            }
        }
    }

    /// The names of hosts that are looked up, each once.
    pub fn host_names(&self) -> BTreeSet<String> {
        let watches = self.watches();
        let watched = watches.iter().flat_map(|watch| watch.hosts()).map(|host| host.address.clone());
        let addresses = self.lanes().into_iter().map(|lane| lane.address()).chain(watched);
        addresses.filter_map(|address| address.name().map(str::to_owned)).collect()
    }

    async fn look_names_up(&self, known: &mut HashMap<String, Answers>) {
        let names = self.host_names();
        known.retain(|name, _| names.contains(name));
        for name in names {
            match resolve(&name).await {
                Ok(answer) => {
                    let answers = known.entry(name.clone()).or_default();
                    self.heard(&name, answers, &answer);
                }
                // Whoever needs a new server hears of it.
                Err(error) => tracing::debug!(host = name, %error, "cannot look up a host's name"),
            }
        }
    }

    /// Leaves the addresses that are lost to a name.
    fn heard(&self, name: &str, answers: &mut Answers, answer: &[IpAddr]) {
        let mut lanes = self.lanes();
        lanes.retain(|lane| lane.address().name() == Some(name));
        let servers = lanes.iter().flat_map(|lane| lane.servers());
        let watches = self.watches();
        let watched = watches.iter().flat_map(|watch| watch.hosts()).filter(|host| host.address.name() == Some(name));
        let asked = watched.filter_map(|host| host.found.get());
        answers.heard(answer, servers.filter_map(|server| server.line.peer.map(|end| end.ip)).chain(asked));
        for watch in &watches {
            let named = watch.hosts().iter().filter(|host| host.address.name() == Some(name));
            named.for_each(|host| host.leave(|address| answers.have_lost(address)));
        }
        let servers: usize = lanes.iter().map(|lane| lane.leave(|address| answers.have_lost(address))).sum();
        if servers > 0 {
            tracing::info!(host = name, ?answer, servers, "a host's name leads elsewhere: its servers are replaced");
        }
    }
}

impl Answers {
    /// One more, while servers are at the addresses `in_use`. An empty one says nothing.
    fn heard(&mut self, answer: &[IpAddr], in_use: impl IntoIterator<Item = IpAddr>) {
        if answer.is_empty() {
            return;
        }
        let before = self.count;
        self.count += 1;
        for address in answer {
            let known = self.addresses.insert(*address, Known { latest: self.count, answered: true });
            if known.is_some_and(|known| known.answered && known.latest < before) {
                self.returned = Some(self.count);
            }
        }
        self.addresses.retain(|_, known| self.count - known.latest <= LOST_IN_ROTATION);
        for address in in_use {
            self.addresses.entry(address).or_insert(Known { latest: before, answered: false });
        }
    }

    fn have_lost(&self, address: IpAddr) -> bool {
        let rotates = self.returned.is_some_and(|answer| self.count - answer <= LOST_IN_ROTATION);
        let lost = if rotates { LOST_IN_ROTATION } else { LOST };
        self.addresses.get(&address).is_some_and(|known| self.count - known.latest >= lost)
    }
}

#[cfg(test)]
mod tests;
