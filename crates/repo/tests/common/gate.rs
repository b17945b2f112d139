//! A goal whose one task was verified with a given change, taken through the gate: orders and permits for tests.

use std::time::Duration;

use machine_driver_governor::{Action, CommitOrder, Permit, decide, next_action};
use machine_driver_state::change::Change;
use machine_driver_state::control::ProcessMark;
use machine_driver_state::event::{DriverUp, Event, OutputDigest, Verified, WorkerClass, WorkerExited};
use machine_driver_state::goal::{Alerts, Budget, CommandLine, Contract, Goal, Mode, Task};
use machine_driver_state::id::{ActorId, Digest, TaskId};
use machine_driver_state::record::Record;
use machine_driver_state::state::{Phase, State};
use machine_driver_state::time::Timestamp;
use machine_driver_state::usage::Usage;

/// The order to commit this change: the same for the same change.
pub(crate) fn order(change: &Change) -> CommitOrder {
    let gate = Gate::new(change);
    let phase = gate.state.current().map(|current| &current.phase);
    let Some(Phase::Allowed(allowed)) = phase else {
        panic!("not allowed: {phase:?}")
    };
    CommitOrder::of(&gate.goal, 0, allowed).unwrap()
}

/// A permit for the change of this order.
pub(crate) fn permit(order: &CommitOrder) -> Permit {
    let gate = Gate::new(&order.change);
    decide(&gate.goal, &gate.state, 0, now()).unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_795_341_600_123)
}

struct Gate {
    goal: Goal,
    state: State,
}

impl Gate {
    /// The task was worked on and verified, and the gate allowed it.
    fn new(change: &Change) -> Self {
        let goal = goal();
        let mut state = State::new();
        state.adopt(&goal);
        let mut gate = Self { goal, state };
        gate.say(Event::DriverUp(up(change, gate.goal.digest)));
        loop {
            let worker = ActorId::new("worker").unwrap();
            match next_action(&gate.goal, &gate.state, &worker, now()) {
                Action::Record(event) => gate.say(event),
                Action::Work(attempt, _) => {
                    gate.say(Event::WorkerStarted(attempt.clone(), mark()));
                    gate.say(Event::WorkerExited(attempt, exited()));
                }
                Action::Verify(attempt, ..) => gate.say(Event::Verified(attempt, verified(change))),
                Action::Commit(..) => return gate,
                other => panic!("{other:?}"),
            }
        }
    }

    fn say(&mut self, event: Event) {
        let record = Record::after(self.state.head(), now(), "d", event).unwrap();
        self.state.apply(&record).unwrap();
    }
}

/// One task with everything that the gate asks for, also where there is no commit to go back to.
fn goal() -> Goal {
    let task = Task {
        id: TaskId::new("t1").unwrap(),
        goal: "do it".into(),
        reversible: true,
        after: Vec::new(),
        worker_cmd: None,
        verify_cmd: None,
        max_attempts: None,
        worker_timeout: None,
        idempotency_key: Digest::from_bytes([7; 32]),
        scope: None,
        immutable: Vec::new(),
    };
    Goal {
        name: "g".into(),
        repo: "/r".into(),
        worker_cmd: CommandLine::Shell("true".into()),
        verify_cmd: Some(CommandLine::Shell("true".into())),
        mode: Mode::Commit,
        contract: Some(Contract {
            autonomy_ceiling: Some(1),
            irreversible_min_trust: Some(1),
            proposed_by: Some("ann".into()),
            ratified_by: Some("bob".into()),
            ..Contract::default()
        }),
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
        digest: Digest::from_bytes([8; 32]),
        contract_digest: Digest::from_bytes([9; 32]),
        audit_sink: None,
    }
}

fn up(change: &Change, goal_sha256: Digest) -> DriverUp {
    DriverUp {
        version: "0".into(),
        pid: 7,
        boot_id: "b".into(),
        goal: "g".into(),
        goal_sha256,
        mode_asked: "commit".into(),
        mode: "commit".into(),
        tier: "group".into(),
        gate: true,
        repo: Some(change.clone()),
        sinks: Vec::new(),
        records: false,
        sealed: false,
        receipt: None,
        survey: None,
        accepts_tree: false,
    }
}

fn mark() -> ProcessMark {
    ProcessMark {
        pid: 9,
        pgid: 9,
        start_time: 1,
        boot_id: "b".into(),
    }
}

fn output() -> OutputDigest {
    OutputDigest {
        bytes: 0,
        sha256: Digest::from_bytes([0; 32]),
    }
}

fn exited() -> WorkerExited {
    WorkerExited {
        class: WorkerClass::Ok,
        exit: Some(0),
        signal: None,
        timed_out: false,
        usage: Usage::NONE,
        output: output(),
        wall_ms: 1,
        retry_after_ms: None,
        detail: None,
    }
}

fn verified(change: &Change) -> Verified {
    Verified {
        verifier_id: ActorId::new("verifier").unwrap(),
        output: output(),
        wall_ms: 1,
        change: Some(change.clone()),
        no_change: None,
        audit: None,
    }
}
