//! Plans as a whole: importing ([`import`]), reading ([`read`]; one task
//! of them: [`excerpt`], from [`excerpts`]), editing ([`edit`]), halting ([`halt`]) and
//! deleting ([`delete`]) them; and what was of them before ([`history`]).

mod delete;
mod edit;
mod excerpt;
mod excerpts;
mod halt;
mod history;
mod import;
mod read;

pub(crate) use self::import::TICKED;
pub use self::{
    edit::{Edited, MAX_EDITED},
    halt::Halted,
    history::PlanHistory,
    import::{Imported, ImportedState},
    read::read_beside,
};
