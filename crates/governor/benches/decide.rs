//! What a decision costs: `cargo bench -p machine-driver-governor --bench decide [calls]`.
//!
//! Prints nanoseconds per call of [`decide`] and [`next_action`] on a goal of 1,000 tasks: allowed, refused by the first
//! clause, refused by the last one (two spellings of one name are compared), and with an alert due. The aim is 10
//! microseconds: far below the sync of one record.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads the clock"
)]

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use machine_driver_governor::{Action, decide, next_action};
use machine_driver_state::change::{Change, ObjectId, RefName};
use machine_driver_state::event::{
    DriverUp, Event, OutputDigest, Tampering, Verified, WorkerClass, WorkerExited,
};
use machine_driver_state::goal::{Alerts, Budget, CommandLine, Contract, Goal, Mode, Task};
use machine_driver_state::id::{ActorId, Digest, TaskId};
use machine_driver_state::record::Record;
use machine_driver_state::state::State;
use machine_driver_state::time::Timestamp;
use machine_driver_state::usage::Usage;

const TASKS: usize = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let asked = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let calls: u32 = asked.unwrap_or(1_000_000);
    let now = Timestamp::from_millis(1_795_341_600_000);
    let worker = ActorId::new("worker")?;
    let goal = goal("bob")?;
    let state = at_the_gate(&goal, &worker, now)?;
    assert!(decide(&goal, &state, 0, now).is_ok(), "the bench is about leave");
    measure("decide, allowed", calls, || decide(&goal, &state, 0, now).is_ok());
    let same = self::goal("\u{ff21}nn\u{200b} of the \u{fb01}rst office")?;
    measure("decide, refused by box 0", calls, || {
        decide(&same, &state, 0, now).is_ok()
    });
    let mut proposing = goal.clone();
    proposing.mode = Mode::Propose;
    measure("decide, refused at once", calls, || {
        decide(&proposing, &state, 0, now).is_ok()
    });
    measure("next_action, gate_allowed", calls, || {
        next_action(&goal, &state, &worker, now)
    });
    let mut told = state.clone();
    let (what, kept_as) = ("x".repeat(10_000), None);
    say(&mut told, now, Event::Tampering(Tampering { what, kept_as }))?;
    measure("next_action, alert_raised", calls, || {
        next_action(&goal, &told, &worker, now)
    });
    let mut fresh = State::new();
    fresh.adopt(&goal);
    say(&mut fresh, now, up(&goal)?)?;
    measure("next_action, dispatch", calls, || {
        next_action(&goal, &fresh, &worker, now)
    });
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a bench tells its result")]
fn measure<T>(what: &str, calls: u32, mut call: impl FnMut() -> T) {
    let begun = Instant::now();
    for _ in 0..calls {
        black_box(call());
    }
    let time: Duration = begun.elapsed();
    println!(
        "{what:<28} {:>9.0} ns per call",
        time.as_secs_f64() * 1e9 / f64::from(calls)
    );
}

/// A run whose first task was verified, in a repository that nobody else touched.
fn at_the_gate(goal: &Goal, worker: &ActorId, now: Timestamp) -> Result<State, Box<dyn Error>> {
    let mut state = State::new();
    state.adopt(goal);
    say(&mut state, now, up(goal)?)?;
    loop {
        let event = match next_action(goal, &state, worker, now) {
            Action::Work(attempt, _) => Event::WorkerExited(attempt, exited()),
            Action::Verify(attempt, ..) => Event::Verified(attempt, verified()?),
            Action::Record(Event::GateAllowed(..)) => return Ok(state),
            Action::Record(event) => event,
            other => return Err(format!("{other:?}").into()),
        };
        say(&mut state, now, event)?;
    }
}

fn say(state: &mut State, now: Timestamp, event: Event) -> Result<(), Box<dyn Error>> {
    let record = Record::after(state.head(), now, "d", event)?;
    Ok(state.apply(&record)?)
}

fn goal(ratified_by: &str) -> Result<Goal, Box<dyn Error>> {
    let task = |index| {
        Ok(Task {
            id: TaskId::new(&format!("task-{index}"))?,
            goal: "do it".into(),
            reversible: true,
            after: Vec::new(),
            worker_cmd: None,
            verify_cmd: None,
            max_attempts: None,
            worker_timeout: None,
            idempotency_key: digest(),
            scope: None,
            immutable: Vec::new(),
        })
    };
    let contract = Contract {
        autonomy_ceiling: Some(2),
        irreversible_min_trust: Some(3),
        proposed_by: Some("Ann of the first office".into()),
        ratified_by: Some(ratified_by.into()),
        expires: Some(Timestamp::from_millis(i64::MAX)),
        revoked: false,
        ..Contract::default()
    };
    Ok(Goal {
        name: "bench".into(),
        repo: "/r".into(),
        worker_cmd: CommandLine::Shell("true".into()),
        verify_cmd: Some(CommandLine::Shell("true".into())),
        mode: Mode::Commit,
        contract: Some(contract),
        budget: Budget {
            worker_runs_max: Some(u64::MAX),
            wall_max: Some(Duration::MAX),
            ..Budget::default()
        },
        max_attempts: 3,
        tick: Duration::ZERO,
        worker_timeout: None,
        worker_idle: None,
        verify_timeout: None,
        env_pass: Vec::new(),
        alerts: Alerts::default(),
        attest: None,
        deployment_id: "d".into(),
        tasks: (0..TASKS).map(task).collect::<Result<_, Box<dyn Error>>>()?,
        digest: digest(),
        contract_digest: digest(),
        audit_sink: None,
    })
}

fn up(goal: &Goal) -> Result<Event, Box<dyn Error>> {
    Ok(Event::DriverUp(DriverUp {
        version: "0".into(),
        pid: 7,
        boot_id: "b".into(),
        goal: goal.name.clone(),
        goal_sha256: goal.digest,
        mode_asked: "commit".into(),
        mode: "commit".into(),
        tier: "group".into(),
        gate: true,
        repo: Some(change()?),
        sinks: vec!["command".into()],
        records: false,
        sealed: false,
        receipt: None,
        survey: None,
        accepts_tree: false,
    }))
}

fn exited() -> WorkerExited {
    WorkerExited {
        class: WorkerClass::Ok,
        exit: Some(0),
        signal: None,
        timed_out: false,
        usage: Usage::default(),
        output: OutputDigest::of(b""),
        wall_ms: 1,
        retry_after_ms: None,
        detail: None,
    }
}

fn verified() -> Result<Verified, Box<dyn Error>> {
    Ok(Verified {
        verifier_id: ActorId::new("verifier")?,
        output: OutputDigest::of(b""),
        wall_ms: 1,
        change: Some(change()?),
        no_change: None,
        audit: None,
    })
}

fn change() -> Result<Change, Box<dyn Error>> {
    Ok(Change {
        reference: RefName::new("refs/heads/main")?,
        parent: Some(ObjectId::new(&"a".repeat(40))?),
        tree: ObjectId::new(&"b".repeat(40))?,
        paths: 3,
    })
}

fn digest() -> Digest {
    Digest::from_bytes([7; 32])
}
