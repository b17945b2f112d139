//! What an entry of the corpus is: a planted trap, the plain call that springs it, and what the committer may answer.

/// Before which step of the driver the worker plants its trap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Before `open`: an earlier run's worker did it.
    Open,
    /// Before `read_change`, after `open`: the worker of this run.
    Read,
    /// Before `commit`, after `read_change`: a process that outlived its worker, or the verify command.
    Commit,
}

/// How the control run shows that the trap is real.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    /// The planted program ran.
    Runs,
    /// The script says so itself, by ending with 0.
    Says,
}

/// What the committer may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    /// The right commit: the trap is no reason to stop.
    Commit,
    /// An error, and nothing committed.
    Refusal,
    /// The right commit, or an error and nothing committed.
    Either,
}

/// One trap.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    /// What the worker does, for `sh`, in the repository.
    pub(crate) plant: &'static str,
    /// What a driver that knows no better does, for `sh`.
    pub(crate) naive: &'static str,
    pub(crate) shows: Shows,
    pub(crate) wants: Wants,
    pub(crate) stages: &'static [Stage],
    /// The driver's environment; `$SB` is the sandbox.
    pub(crate) env: &'static [(&'static str, &'static str)],
    /// A word that a refusal must hold; empty where none must.
    pub(crate) word: &'static str,
    /// Attributes of the tree itself may change what is stored: either reading of the files is right.
    pub(crate) converts: bool,
}

const ALL: &[Stage] = &[Stage::Open, Stage::Read, Stage::Commit];
const WORKER: &[Stage] = &[Stage::Read, Stage::Commit];
const EARLY: &[Stage] = &[Stage::Read];
const LATE: &[Stage] = &[Stage::Commit];

impl Entry {
    /// A trap that runs a planted program.
    pub(crate) const fn runs(name: &'static str, plant: &'static str, naive: &'static str) -> Self {
        Self {
            name,
            plant,
            naive,
            shows: Shows::Runs,
            wants: Wants::Commit,
            stages: ALL,
            env: &[],
            word: "",
            converts: false,
        }
    }

    /// A trap whose control script ends with 0 where it worked.
    pub(crate) const fn says(name: &'static str, plant: &'static str, naive: &'static str) -> Self {
        let mut entry = Self::runs(name, plant, naive);
        entry.shows = Shows::Says;
        entry.stages = WORKER;
        entry
    }

    /// Only before `read_change`: it is about what is read.
    pub(crate) const fn early(mut self) -> Self {
        self.stages = EARLY;
        self
    }

    /// Only between `read_change` and `commit`.
    pub(crate) const fn late(mut self) -> Self {
        self.stages = LATE;
        self
    }

    /// By the worker of this run only.
    pub(crate) const fn by_worker(mut self) -> Self {
        self.stages = WORKER;
        self
    }

    pub(crate) const fn or_refused(mut self) -> Self {
        self.wants = Wants::Either;
        self
    }

    pub(crate) const fn refused(mut self) -> Self {
        self.wants = Wants::Refusal;
        self
    }

    pub(crate) const fn naming(mut self, word: &'static str) -> Self {
        self.word = word;
        self
    }

    pub(crate) const fn env(mut self, env: &'static [(&'static str, &'static str)]) -> Self {
        self.env = env;
        self
    }

    pub(crate) const fn converts(mut self) -> Self {
        self.converts = true;
        self
    }
}
