//! What a run tells whoever watches it.

use std::time::Duration;

use machine_driver_governor::dial::Granted;
use machine_driver_state::alert::Alert;
use machine_driver_state::goal::Goal;
use machine_driver_state::record::Record;
use machine_driver_state::state::State;
use machine_driver_state::time::Timestamp;

/// Something worth telling. Texts in it come from goals and workers: escape them before a terminal sees them.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// The driver is up, and this is what it starts from.
    Up {
        /// The goal.
        goal: &'a Goal,
        /// Where its run stands.
        state: &'a State,
        /// The mode granted the next task, and why it is not the one asked for.
        granted: &'a Granted,
    },
    /// A record is on disk.
    Recorded {
        /// The record.
        record: &'a Record,
        /// The goal.
        goal: &'a Goal,
        /// Where the run stands after it.
        state: &'a State,
    },
    /// A person is to be told, and no other way is set up than telling whoever watches.
    Alert {
        /// What.
        alert: &'a Alert,
    },
    /// An alert could not be sent yet; it is tried again. Told once for each alert and sink.
    AlertFailing {
        /// Through what.
        sink: &'a str,
        /// Why not.
        error: &'a str,
        /// When it is tried again.
        next_in: Duration,
    },
    /// What workers of an earlier run left breaks the contract's rules about paths. Every change will break them until it is put
    /// back, or a run accepts it ([`Builder::accept_tree`](crate::Builder::accept_tree)).
    TreeNotAsItWas {
        /// What differs, as workers are told it, on one line.
        found: &'a str,
    },
    /// A governance record could not be copied to the goal's `audit_sink`; it is tried again with the next one. Told once.
    AuditSinkFailing {
        /// Why.
        why: &'a str,
    },
    /// How the repository stands could not be read: nothing can be committed.
    NoChange {
        /// Why.
        why: &'a str,
    },
    /// The repository differs from its last commit before any worker ran: that would go into the first commit.
    NotClean {
        /// How many paths differ.
        paths: u64,
    },
    /// A commit was made, and something beside it did not work.
    BesideCommit {
        /// What.
        note: &'a str,
    },
    /// Nothing is to be done until then.
    Waiting {
        /// Until when.
        until: Timestamp,
        /// How long that is.
        time: Duration,
    },
    /// The log ended in a torn line, which was cut off: its event never happened.
    TornTail {
        /// Bytes cut.
        bytes: u64,
    },
    /// The system's clock is behind the log: time goes on from the last record.
    ClockBehind {
        /// How far.
        by: Duration,
    },
    /// Processes that an earlier driver left running were ended.
    OrphansEnded {
        /// How many.
        count: u32,
    },
    /// goal.json was changed, and an attempt was under way when the last driver was killed: the edit is taken as the operator's,
    /// but a worker could have made it.
    EditedUnderWay,
    /// goal.json shows no progress, but there is a log: the log counts.
    ProgressRemoved,
    /// A log of the original driver was kept and its progress taken over.
    Adopted {
        /// The file that keeps it, beside goal.json.
        kept_as: &'a str,
    },
}
