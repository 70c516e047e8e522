//! Updates of tasks: what a caller asks for ([`request`]), how it is carried out whatever happens at the same
//! moment ([`submit`]), from single transactions ([`execute`]). [`resolve`] finds out what became of one that
//! was not answered, [`late`] keeps results that came too late, [`findings`] what tasks have found out,
//! [`batch`] decides several at once, [`together`] carries them out all or nothing.

mod batch;
mod execute;
mod findings;
mod late;
mod outcome;
mod request;
mod resolve;
mod submit;
mod together;

pub use self::{
    batch::MAX_BATCH,
    findings::Findings,
    outcome::{BatchOutcome, Outcome, Refused},
    request::{OpId, UpdateRequest},
    submit::Seen,
};
