//! The committer as a driver uses it, with a permit that the gate gave.

use std::error::Error;
use std::time::Duration;

use machine_driver_governor::{CommitOrder, Committer, Permit, decide};
use machine_driver_repo::{GitCommitter, Settings};
use machine_driver_state::change::Change;
use machine_driver_state::control::Control;
use machine_driver_state::event::{
    AttemptRef, Dispatch, DriverUp, Event, OutputDigest, Verified, WorkerClass, WorkerExited,
};
use machine_driver_state::goal::{Alerts, Budget, CommandLine, Contract, Goal, Mode, Task};
use machine_driver_state::id::{ActorId, Digest, SessionId, TaskId};
use machine_driver_state::record::Record;
use machine_driver_state::state::State;
use machine_driver_state::time::Timestamp;
use machine_driver_state::usage::Usage;

use crate::sandbox::Sandbox;

/// A change as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    change: Change,
    pub(crate) reference: String,
    pub(crate) parent: String,
    pub(crate) tree: String,
    pub(crate) paths: u64,
}

/// How long one call of git may take.
const CALL: Duration = Duration::from_secs(12);

/// The committer of one run.
#[derive(Debug)]
pub(crate) struct Handle(GitCommitter);

impl Handle {
    pub(crate) fn open(sandbox: &Sandbox) -> Result<Self, String> {
        let settings = Settings {
            repo: sandbox.repo(),
            own: vec![sandbox.root.join("own")],
            ..Settings::default()
        };
        let committer = GitCommitter::open(&settings).map_err(said)?;
        Ok(Self(committer.with_wall(CALL)))
    }

    pub(crate) fn read(&self) -> Result<Seen, String> {
        let change = self.0.read_change(&Control::new()).map_err(said)?;
        Ok(Seen {
            reference: change.reference.to_string(),
            parent: change
                .parent
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            tree: change.tree.to_string(),
            paths: change.paths,
            change,
        })
    }

    pub(crate) fn made(&self, seen: &Seen) -> Result<Option<String>, String> {
        let made = self.0.made(&order(seen)).map_err(said)?;
        Ok(made.map(|id| id.to_string()))
    }

    pub(crate) fn commit(&self, seen: &Seen) -> Result<String, String> {
        let made = self.0.commit(&order(seen), permit(&seen.change)).map_err(said)?;
        Ok(made.id.to_string())
    }

    #[expect(clippy::unused_self, reason = "an order is its committer's")]
    pub(crate) fn message(&self, seen: &Seen) -> String {
        order(seen).message()
    }
}

/// The error with everything behind it, as a person gets to read it.
fn said(error: impl Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn digest(n: u8) -> Digest {
    Digest::from_bytes([n; 32])
}

/// The key is [`crate::sandbox::KEY`].
fn order(seen: &Seen) -> CommitOrder {
    CommitOrder {
        task: TaskId::new("t0").unwrap(),
        idempotency_key: digest(7),
        contract: digest(201),
        record: digest(9),
        at: now(),
        change: seen.change.clone(),
        left_over: Vec::new(),
    }
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_795_341_600_000)
}

/// The gate's leave, after a run in which the task was dispatched, done and verified.
fn permit(change: &Change) -> Permit {
    let (goal, mut state) = (goal(), State::new());
    state.adopt(&goal);
    let session = SessionId::new(&"ab".repeat(16)).unwrap();
    let attempt = AttemptRef {
        task: goal.tasks[0].id.clone(),
        attempt: 1,
        session: Some(session),
        idempotency_key: digest(7),
        autonomy_used: 0,
    };
    for event in history(&goal, &attempt, change) {
        let record = Record::after(state.head(), now(), "d", event).unwrap();
        state.apply(&record).unwrap();
    }
    decide(&goal, &state, 0, now()).unwrap()
}

fn history(goal: &Goal, attempt: &AttemptRef, change: &Change) -> Vec<Event> {
    let before = Change {
        paths: 0,
        ..change.clone()
    };
    let output = OutputDigest {
        bytes: 0,
        sha256: digest(0),
    };
    let up = DriverUp {
        version: "0".into(),
        pid: 7,
        boot_id: "b".into(),
        goal: "g".into(),
        goal_sha256: goal.digest,
        mode_asked: "commit".into(),
        mode: "commit".into(),
        tier: "group".into(),
        gate: true,
        repo: Some(before),
        sinks: Vec::new(),
        records: false,
        sealed: false,
        receipt: None,
        survey: None,
        accepts_tree: false,
    };
    let exited = WorkerExited {
        class: WorkerClass::Ok,
        exit: Some(0),
        signal: None,
        timed_out: false,
        usage: Usage::default(),
        output: output.clone(),
        wall_ms: 1,
        retry_after_ms: None,
        detail: None,
    };
    let verifier_id = ActorId::new("verifier").unwrap();
    let verified = Verified {
        verifier_id,
        output,
        wall_ms: 1,
        change: Some(change.clone()),
        no_change: None,
        audit: None,
    };
    let worker_id = ActorId::new("worker").unwrap();
    vec![
        Event::DriverUp(up),
        Event::Dispatch(attempt.clone(), Dispatch { worker_id }),
        Event::WorkerExited(attempt.clone(), exited),
        Event::Verified(attempt.clone(), verified),
    ]
}

fn goal() -> Goal {
    let task = Task {
        id: TaskId::new("t0").unwrap(),
        goal: "do".into(),
        reversible: true,
        after: Vec::new(),
        worker_cmd: None,
        verify_cmd: None,
        max_attempts: None,
        worker_timeout: None,
        idempotency_key: digest(7),
        scope: None,
        immutable: Vec::new(),
    };
    let contract = Contract {
        autonomy_ceiling: Some(1),
        proposed_by: Some("ann".into()),
        ratified_by: Some("bob".into()),
        irreversible_min_trust: Some(1),
        ..Contract::default()
    };
    Goal {
        name: "g".into(),
        repo: "/r".into(),
        worker_cmd: CommandLine::Shell("true".into()),
        verify_cmd: Some(CommandLine::Shell("true".into())),
        mode: Mode::Commit,
        contract: Some(contract),
        budget: Budget::default(),
        max_attempts: 3,
        tick: Duration::from_secs(1),
        worker_timeout: None,
        worker_idle: None,
        verify_timeout: None,
        env_pass: Vec::new(),
        alerts: Alerts::default(),
        attest: None,
        deployment_id: "d".into(),
        tasks: vec![task],
        digest: digest(200),
        contract_digest: digest(201),
        audit_sink: None,
    }
}
