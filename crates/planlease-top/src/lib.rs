//! The screen of `planlease top`: what is shown, and what keys do. It reads and writes nothing itself: its
//! driver brings changes of the store and keys, and carries out what it orders.
//!
//! ```text
//!   keys ──► Top ──► orders: show this, do that, end     (carried out by running `planlease` itself)
//!   store ─► Top ──► frame                               (drawn by ratatui, on a terminal or in a test)
//! ```
//!
//! Keys follow k9s: `:` for a view, `/` for a filter, Enter into a row, Esc back.

mod action;
mod draw;
mod fleet;
mod keys;
mod log;
mod rows;
#[cfg(test)]
mod tests;
mod tone;
mod top;
mod view;

pub use action::Order;
pub use keys::{Key, of_event};
pub use ratatui;
pub use top::{Options, Top};
