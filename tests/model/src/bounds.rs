//! How much may happen in one run: what makes the number of states finite, and is said with every result.

/// The bounds of a check. What is not bounded here happens whenever it can: every order, every delay, every
/// pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct Bounds {
    /// Processes, each with one session
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=4))]
    pub processes: u8,
    /// Tasks of the plan
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=3))]
    pub tasks: u8,
    /// How often each process wants the plan
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub acquisitions: u8,
    /// Starts and completions of tasks, by all processes together; recoveries are not counted
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(..=9))]
    pub writes: u8,
    /// Processes that crash
    #[arg(long, default_value_t = 1)]
    pub crashes: u8,
    /// Leases that etcd drops though their process lives: it is slow, paused or cut off
    #[arg(long, default_value_t = 1)]
    pub losses: u8,
    /// Requests that are not waited for any longer and arrive later; a lost answer is one of them
    #[arg(long, default_value_t = 1)]
    pub timeouts: u8,
    /// Ownerships, and candidates, that the operator ends
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(..=9))]
    pub forces: u8,
    /// Tasks that the operator changes
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=9))]
    pub operator_writes: u8,
}

impl Bounds {
    /// Two processes and one task, and nothing that goes wrong.
    pub const CALM: Self = Self {
        processes: 2,
        tasks: 1,
        acquisitions: 1,
        writes: 2,
        crashes: 0,
        losses: 0,
        timeouts: 0,
        forces: 0,
        operator_writes: 0,
    };
}

/// A check that is small enough for every test run.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What it is about.
    pub name: &'static str,
    /// How much may happen.
    pub bounds: Bounds,
    /// How many different states there are.
    pub states: usize,
}

/// The checks of every test run. Each lets happen what the others leave out.
pub const SCENARIOS: [Scenario; 7] = [
    Scenario {
        name: "a crash, a lost session, a late request",
        bounds: Bounds { crashes: 1, losses: 1, timeouts: 1, ..Bounds::CALM },
        states: 222_159,
    },
    Scenario {
        name: "a task that is completed, and another owner",
        bounds: Bounds { writes: 3, crashes: 1, timeouts: 1, ..Bounds::CALM },
        states: 78_741,
    },
    Scenario {
        name: "an operator who forces",
        bounds: Bounds { writes: 1, timeouts: 1, forces: 1, ..Bounds::CALM },
        states: 67_512,
    },
    Scenario {
        name: "an operator who decides about tasks",
        bounds: Bounds { writes: 1, timeouts: 1, operator_writes: 1, ..Bounds::CALM },
        states: 66_922,
    },
    Scenario {
        name: "each wants the plan twice",
        bounds: Bounds { acquisitions: 2, writes: 0, timeouts: 1, ..Bounds::CALM },
        states: 78_666,
    },
    Scenario {
        name: "three in the queue",
        bounds: Bounds { processes: 3, writes: 0, losses: 1, forces: 1, ..Bounds::CALM },
        states: 112_675,
    },
    Scenario {
        name: "two tasks",
        bounds: Bounds { tasks: 2, crashes: 1, losses: 1, ..Bounds::CALM },
        states: 26_241,
    },
];

/// How long a session is looked at in every test run, in seconds: two times to live.
pub const SECONDS: u8 = 12;

/// How many different states there are then.
pub const SESSION_STATES: usize = 86_267;
