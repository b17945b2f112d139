//! A world in which the machine can be run without a disk, a clock or a process.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::time::Duration;

use machine_driver_governor::replay::{Goals, Replay, ReplayError};
use machine_driver_governor::{Action, next_action};
use machine_driver_state::control::{Cut, ProcessMark};
use machine_driver_state::event::{
    AttemptRef, DriverUp, Event, Interrupted, OutputDigest, Stage, Verified, VerifyFailed, VerifyUnavailable,
    WorkerClass, WorkerExited,
};
use machine_driver_state::goal::{Budget, CommandLine, Goal, Mode, Task};
use machine_driver_state::id::{ActorId, Digest, TaskId};
use machine_driver_state::record::Record;
use machine_driver_state::state::{Run, State};
use machine_driver_state::time::Timestamp;
use machine_driver_state::usage::Usage;

pub(crate) fn digest(n: u8) -> Digest {
    Digest::from_bytes([n; 32])
}

pub(crate) fn id(index: usize) -> TaskId {
    TaskId::new(&format!("t{index}")).unwrap()
}

/// A goal whose tasks wait for the tasks at these places.
pub(crate) fn goal(after: &[Vec<usize>]) -> Goal {
    let task = |(index, after): (usize, &Vec<usize>)| Task {
        id: id(index),
        goal: format!("do {index}"),
        reversible: false,
        after: after.clone(),
        worker_cmd: None,
        verify_cmd: None,
        max_attempts: None,
        worker_timeout: None,
        idempotency_key: digest(u8::try_from(index % 256).unwrap()),
    };
    Goal {
        name: "g".into(),
        repo: "/r".into(),
        worker_cmd: CommandLine::Shell("true".into()),
        verify_cmd: Some(CommandLine::Shell("true".into())),
        mode: Mode::Propose,
        contract: None,
        budget: Budget::default(),
        max_attempts: 3,
        tick: Duration::from_secs(1),
        worker_timeout: None,
        worker_idle: None,
        verify_timeout: None,
        env_pass: Vec::new(),
        deployment_id: "d".into(),
        tasks: after.iter().enumerate().map(task).collect(),
        digest: digest(200),
    }
}

/// A run of one goal in memory.
pub(crate) struct World {
    pub(crate) goal: Goal,
    pub(crate) state: State,
    pub(crate) now: Timestamp,
    pub(crate) lines: Vec<String>,
    pub(crate) events: Vec<Event>,
}

impl World {
    /// A driver has just come up.
    pub(crate) fn new(goal: Goal) -> Self {
        let mut state = State::new();
        state.adopt(&goal);
        let now = Timestamp::from_millis(1_795_341_600_000);
        let mut world = Self {
            goal,
            state,
            now,
            lines: Vec::new(),
            events: Vec::new(),
        };
        world.up();
        world
    }

    pub(crate) fn next(&self) -> Action {
        next_action(&self.goal, &self.state, &worker(), self.now)
    }

    pub(crate) fn say(&mut self, event: Event) {
        let record = Record::after(self.state.head(), self.now, "d", event.clone()).unwrap();
        self.state.apply(&record).unwrap();
        self.lines.push(record.line().unwrap());
        self.events.push(event);
    }

    pub(crate) fn pass_time(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    pub(crate) fn up(&mut self) {
        self.say(Event::DriverUp(DriverUp {
            version: "0".into(),
            pid: 7,
            boot_id: "b".into(),
            goal: "g".into(),
            goal_sha256: self.goal.digest,
            mode_asked: "propose".into(),
            mode: "propose".into(),
            tier: "group".into(),
        }));
    }

    /// Does what the machine asks for; `choice` says what comes of it. False at the end of the run.
    pub(crate) fn step(&mut self, choice: u8) -> bool {
        match self.next() {
            Action::Record(event) => self.say(event),
            Action::ClearUp(attempt, stage) => self.say(interrupted(attempt, stage, Cut::Crash)),
            Action::Work(attempt, _) => self.work(attempt, choice),
            Action::Verify(attempt, _, tries) => self.verify(attempt, tries, choice),
            Action::Wait(until) => {
                assert!(until > self.now, "a wait must end");
                self.now = until;
            }
            Action::Stop(_) => return false,
            Action::Refuse(why) => panic!("refused: {why}"),
        }
        true
    }

    fn work(&mut self, attempt: AttemptRef, choice: u8) {
        let mark = ProcessMark {
            pid: 9,
            pgid: 9,
            start_time: 1,
            boot_id: "b".into(),
        };
        self.say(Event::WorkerStarted(attempt.clone(), mark));
        self.pass_time(Duration::from_millis(u64::from(choice) * 10));
        let class = match choice % 8 {
            0..=3 => WorkerClass::Ok,
            4 => WorkerClass::Error,
            5 => WorkerClass::RateLimited,
            6 => WorkerClass::CouldNotStart,
            _ => {
                self.say(interrupted(attempt, Stage::Worker, Cut::Sigterm));
                return self.up();
            }
        };
        self.say(exited(
            attempt,
            class,
            Usage {
                tokens: Some(u64::from(choice)),
                usd_micros: None,
            },
        ));
    }

    fn verify(&mut self, attempt: AttemptRef, tries: u32, choice: u8) {
        let (verifier_id, output) = (
            verifier(),
            OutputDigest {
                bytes: 0,
                sha256: digest(0),
            },
        );
        match choice % 8 {
            0..=4 => self.say(Event::Verified(
                attempt,
                Verified {
                    verifier_id,
                    output,
                    wall_ms: 1,
                },
            )),
            _ if choice > 200 => {
                self.say(interrupted(attempt, Stage::Verify, Cut::Sigint));
                self.up();
            }
            5 | 6 => self.say(Event::VerifyFailed(attempt, failure(verifier_id, output))),
            _ => {
                let unavailable = VerifyUnavailable {
                    verifier_id,
                    reason: "exit 127".into(),
                    tries,
                };
                self.say(Event::VerifyUnavailable(attempt, unavailable));
            }
        }
    }

    /// Runs to the end with these choices, then with ones that let everything pass.
    pub(crate) fn finish(&mut self, choices: &[u8]) {
        let mut choices = choices.iter().copied();
        for _ in 0..100_000 {
            if !self.step(choices.next().unwrap_or(0)) {
                return;
            }
        }
        panic!("the machine does not come to an end");
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.state.run() == Run::Complete
    }

    pub(crate) fn replay(&self, lines: &[String]) -> Result<(), ReplayError> {
        let mut replay = Replay::new(Kept(BTreeMap::from([(self.goal.digest, self.goal.clone())])));
        lines.iter().try_for_each(|line| replay.feed(line.as_bytes()))
    }
}

struct Kept(BTreeMap<Digest, Goal>);

impl Goals for Kept {
    fn goal(&mut self, digest: Digest) -> Result<Goal, String> {
        self.0.get(&digest).cloned().ok_or_else(|| "not kept".into())
    }
}

pub(crate) fn worker() -> ActorId {
    ActorId::new("worker").unwrap()
}

pub(crate) fn verifier() -> ActorId {
    ActorId::new("verifier").unwrap()
}

pub(crate) fn exited(attempt: AttemptRef, class: WorkerClass, usage: Usage) -> Event {
    let output = OutputDigest {
        bytes: 100,
        sha256: digest(1),
    };
    let (exit, signal, timed_out, retry_after_ms, detail) = (Some(0), None, false, None, None);
    let body = WorkerExited {
        class,
        exit,
        signal,
        timed_out,
        usage,
        output,
        wall_ms: 1,
        retry_after_ms,
        detail,
    };
    Event::WorkerExited(attempt, body)
}

pub(crate) fn failure(verifier_id: ActorId, output: OutputDigest) -> VerifyFailed {
    let (exit, signal, timed_out, tail) = (Some(1), None, false, "no".into());
    VerifyFailed {
        verifier_id,
        reason: "exit 1".into(),
        exit,
        signal,
        timed_out,
        output,
        tail,
        wall_ms: 1,
    }
}

pub(crate) fn interrupted(attempt: AttemptRef, stage: Stage, by: Cut) -> Event {
    let (usage, output_bytes, unlogged_wall_ms) = (Usage::default(), 0, 0);
    Event::Interrupted(
        attempt,
        Interrupted {
            by,
            stage,
            usage,
            output_bytes,
            unlogged_wall_ms,
        },
    )
}
