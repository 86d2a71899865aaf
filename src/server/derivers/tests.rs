//! What is derived, and how often.

use super::*;
use crate::auth::keys::work;
use crate::secret::Secret;
use std::cell::Cell;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::task::{Context, Waker};

fn derivation(password: &str, salt: &[u8]) -> Derivation {
    Derivation::new(Secret::new(password.to_owned()), salt, NonZeroU32::MIN)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

#[test]
fn a_storm_of_logins_with_one_secret_costs_one_derivation() {
    let derivers = Derivers::default();
    block_on(async {
        let storm = (0..100).map(|_| derivers.remembered(derivation("river stone", b"salt")));
        assert!(futures_util::future::join_all(storm).await.iter().all(Option::is_some));
    });
    assert_eq!(derivers.remembered.lock().len(), 1);
    // Nothing is left to do: not even the threads are asked.
    let idle = Derivers { remembered: Mutex::new(derivers.remembered.lock().clone()), ..Derivers::default() };
    assert!(block_on(idle.remembered(derivation("river stone", b"salt"))).is_some());
    assert!(idle.queue.get().is_none());
}

#[test]
fn another_password_salt_or_count_is_another_derivation() {
    let name = |password: &str, salt: &[u8], count: u32| {
        let count = NonZeroU32::new(count).expect("not 0");
        Derivation::new(Secret::new(password.to_owned()), salt, count).name()
    };
    let first = name("a", b"bc", 1);
    assert_eq!(first, name("a", b"bc", 1));
    assert!([name("ab", b"c", 1), name("a", b"b", 1), name("a", b"bc", 2)].iter().all(|other| *other != first));
}

#[test]
fn what_is_remembered_is_bounded() {
    let derivers = Derivers::default();
    for number in 0..=u16::try_from(REMEMBERED).expect("small") {
        block_on(derivers.remembered(derivation("river stone", &number.to_be_bytes()))).expect("derived");
    }
    assert_eq!(derivers.remembered.lock().len(), 1);
}

#[test]
fn a_login_that_gives_up_leaves_the_derivation_to_the_next() {
    // Whether it has to wait at all is the scheduler's to say.
    let gave_up = (0..1000).any(|_| {
        let derivers = Derivers::default();
        block_on(async {
            let mut first = Box::pin(derivers.remembered(derivation("river stone", b"salt")));
            let waits = first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
            drop(first);
            assert!(derivers.remembered(derivation("river stone", b"salt")).await.is_some());
            waits
        })
    });
    assert!(gave_up, "nobody had to wait");
}

#[test]
fn a_storm_of_claims_does_not_keep_our_own_logins_waiting() {
    let derivers = Rc::new(Derivers::default());
    let (made, answered) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let claim = |number: u16| {
        let (derivers, made, answered) = (derivers.clone(), made.clone(), answered.clone());
        async move {
            made.set(made.get() + 1);
            derivers.claimed(derivation("wrong", &number.to_be_bytes())).await.expect("derived");
            answered.set(answered.get() + 1);
        }
    };
    // Each a task of its own, so that they take turns with our own login, however this thread is scheduled.
    block_on(tokio::task::LocalSet::new().run_until(async {
        let claims: Vec<_> = (0..1000).map(|number| tokio::task::spawn_local(claim(number))).collect();
        while made.get() < 1000 {
            tokio::task::yield_now().await;
        }
        derivers.remembered(derivation("river stone", b"salt")).await.expect("derived");
        assert!(answered.get() < 500, "{} of 1000 claims came first", answered.get());
        for claim in claims {
            claim.await.expect("no panic");
        }
    }));
    assert_eq!(answered.get(), 1000);
}

#[test]
fn nothing_is_derived_on_the_thread_that_asks() {
    let derivers = Derivers::default();
    work::done();
    block_on(async {
        derivers.claimed(derivation("wrong", b"salt")).await.expect("derived");
        derivers.remembered(derivation("river stone", b"salt")).await.expect("derived");
    });
    assert_eq!(work::done().iterations, 0);
    derivation("river stone", b"salt").run();
    assert_eq!(work::done().iterations, 1, "what is done here is counted");
}
