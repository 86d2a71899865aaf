//! What an idle client costs, and what a bug in a steward does not.

use super::*;
use crate::cluster::Cluster;
use crate::config;
use crate::net::{Memory, Tls};
use crate::pool::Chore;
use crate::pool::stage::Stage;
use std::io;
use std::path::Path;

fn size_of_future<F: Future>(_: fn(Rc<Worker>, Box<LoggedIn>) -> F) -> usize {
    size_of::<F>()
}

#[test]
fn f19_an_idle_clients_task_stays_within_a_kibibyte() {
    let bytes = size_of_future(guarded);
    // The runtime adds 96 bytes, and the allocator's next size is 1,280.
    assert!(bytes <= 1024 - 96, "the task of an idle client holds {bytes} bytes; box the phase that grew");
}

fn shared() -> Arc<Shared> {
    let no_file = |_: &Path| Err(io::Error::from(io::ErrorKind::NotFound));
    let text = "[pooler]\nauth_type = \"trust\"\n[databases.\"*\"]\nhosts = [\"localhost\"]";
    let config = config::parse(text, Path::new("pooler.toml"), &no_file, &|_| None, 1);
    let config = Arc::new(config.unwrap_or_else(|report| panic!("{report}")));
    let (registry, _) = Registry::new();
    let metrics = Arc::new(metrics::Registry::new(1, clock::now()));
    let tls = Tls::load(&config).unwrap_or_else(|report| panic!("{report}")).share();
    let cluster = Arc::new(Cluster::new(config.clone(), tls, Box::new(|_, _| ()), Box::new(|| ())));
    let in_force = Arc::new(InForce::new(&config, Arc::new(Memory::new(1 << 30)), cluster));
    Arc::new(Shared { in_force, registry, clients: Arc::default(), metrics })
}

fn worker(shared: &Arc<Shared>) -> Rc<Worker> {
    let meters = Meters::new(&shared.metrics, WorkerId(0));
    Rc::new(Worker { shared: shared.clone(), id: WorkerId(0), meters, adrift: RefCell::default() })
}

#[test]
fn a_steward_that_panicked_goes_on() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
    runtime.expect("a runtime").block_on(async {
        tokio::time::pause();
        let (stage, steward) = Stage::new();
        let shared = shared();
        worker(&shared).tend(steward, Arc::downgrade(&stage.lane));
        // Nothing was handed out: the books do not believe it.
        stage.chores.send(Chore::Freed);
        let waiting = stage.wait();
        let served = async {
            while stage.lane.failure().is_none() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(600), served).await.expect("nobody tries to open a server");
        assert_eq!(shared.metrics.process.steward_panics.load(Ordering::Relaxed), 1);
        assert!(waiting.give_up());
    });
}
