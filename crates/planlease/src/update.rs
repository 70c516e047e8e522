//! Updates of tasks: what a caller asks for ([`request`]), how it is carried out whatever happens at the same
//! moment ([`submit`]), from single transactions ([`execute`]), and how an update is found again in the
//! history ([`trace`]). [`late`] keeps results that came too late, [`findings`] what tasks have found out.

mod execute;
mod findings;
mod late;
mod outcome;
mod request;
mod submit;
mod trace;

pub use self::{
    outcome::{Outcome, Refused},
    request::{OpId, UpdateRequest},
    submit::Seen,
};
