//! The runner of a hook: one session at a time, which gets its own right again.

use planlease::{Error, HookRunner, Session};
use planlease_core::{HookName, keys::Key};
use planlease_tests::{TestEnv, case, wait::SOON};
use tokio::time::timeout;

use crate::helpers::background;

fn pager() -> HookName {
    HookName::new("pager").unwrap()
}

/// The right to run the hook, which has to be free for the session.
async fn run(session: &Session) -> HookRunner {
    timeout(SOON, session.run_hook(&pager())).await.expect("the hook is free for the session").unwrap()
}

/// A runner that was not released, as when etcd did not answer, does not keep its session from the hook.
#[case]
async fn a_session_gets_its_own_hook_again(env: TestEnv) {
    let (one, two) = (env.session("one").await, env.session("two").await);
    let mut first = run(&one).await;
    let revision = one.coordinator().raw().revision().await.unwrap();
    assert!(first.advance(revision).await.unwrap());
    drop(first);
    let mut again = run(&one).await;
    assert_eq!(again.position(), Some(revision));
    let waiting = background(async move { run(&two).await.position() });
    let revision = one.coordinator().raw().revision().await.unwrap();
    assert!(again.advance(revision).await.unwrap(), "it has the right");
    assert!(!waiting.is_finished(), "another session's right is its own");
    again.release().await.unwrap();
    assert_eq!(waiting.await.unwrap(), Some(revision));
}

/// The session lives on with other hooks; a process of a newer version may be able to read the position.
#[case]
async fn a_hook_with_an_unreadable_position_is_left_free(env: TestEnv) {
    let (one, two) = (env.session("one").await, env.session("two").await);
    let position = one.coordinator().layout().key(&Key::Hook(pager()));
    let mut etcd = env.client.clone();
    etcd.put(position.clone(), "no record", None).await.unwrap();
    let unreadable = one.run_hook(&pager()).await;
    assert!(matches!(unreadable, Err(Error::Unreadable(_))), "{unreadable:?}");
    etcd.delete(position, None).await.unwrap();
    assert_eq!(run(&two).await.position(), None);
    one.close().await.unwrap();
}
