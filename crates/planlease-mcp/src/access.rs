//! How much a server lets its agent do.

/// How much a server lets its agent do. Each includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Looks at plans and tasks.
    Read,
    /// Claims tasks, and ends its claims.
    Work,
    /// Changes tasks that no process works on, and stops plans, as an operator does.
    Operate,
}
