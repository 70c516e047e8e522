//! Notices panics that do not propagate: the runtime catches those of its tasks, and the task is merely gone.

use std::{
    cell::RefCell,
    panic::{set_hook, take_hook},
    sync::Once,
};

thread_local! {
    /// What the panics on this thread said.
    static SAID: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Does something, and expects that nothing on this thread panics meanwhile, its tasks included.
///
/// # Panics
/// With what the panics said.
pub fn none_in<T>(act: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let next = take_hook();
        set_hook(Box::new(move |panic| {
            SAID.with_borrow_mut(|said| said.push(panic.to_string()));
            next(panic);
        }));
    });
    SAID.take();
    let done = act();
    let said = SAID.take();
    assert!(said.is_empty(), "a task panicked: {}", said.join("; "));
    done
}

#[cfg(test)]
mod tests {
    #[test]
    #[should_panic(expected = "a task panicked: ")]
    #[expect(clippy::disallowed_methods, reason = "a task that is never awaited is the point")]
    fn a_panic_that_the_runtime_swallows_is_noticed() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        super::none_in(|| {
            runtime.block_on(async {
                drop(tokio::spawn(async { panic!("of a task") }).await);
            });
        });
    }
}
