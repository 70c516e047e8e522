//! The output of attempts, kept in files of the host on which they run.

mod files;
mod place;
mod read;
mod record;
mod sweep;
#[cfg(test)]
mod tests;
mod times;

pub use self::{
    files::End,
    place::{AttemptId, Outputs, Place},
    read::{From, Piece, Reader},
    record::Recorder,
    sweep::{Sweeper, Swept},
};
