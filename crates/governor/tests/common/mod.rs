//! A world in which the machine can be run without a disk, a clock or a process.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::time::Duration;

use machine_driver_governor::replay::{Goals, Replay, ReplayError};
use machine_driver_governor::{Action, next_action};
use machine_driver_state::canonical::sha256;
use machine_driver_state::change::{Change, ObjectId, RefName};
use machine_driver_state::control::{Cut, ProcessMark};
use machine_driver_state::event::{
    AlertDelivered, AttemptRef, Audited, Commit, CommitFailed, DenialCode, DriverUp, Event, GateDenied,
    GateEscalated, Interrupted, OutputDigest, RecordSigned, Stage, Verified, VerifyFailed, VerifyUnavailable,
    WorkerClass, WorkerExited,
};
use machine_driver_state::goal::{Alerts, Budget, CommandLine, Contract, Goal, Mode, Task};
use machine_driver_state::id::{ActorId, Digest, TaskId};
use machine_driver_state::record::Record;
use machine_driver_state::state::{Phase, Run, State};
use machine_driver_state::survey::Survey;
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
        scope: None,
        immutable: Vec::new(),
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
        alerts: Alerts::default(),
        attest: None,
        deployment_id: "d".into(),
        tasks: after.iter().enumerate().map(task).collect(),
        digest: digest(200),
        contract_digest: digest(201),
        audit_sink: None,
    }
}

/// The same with everything that the gate asks for.
pub(crate) fn committing(after: &[Vec<usize>]) -> Goal {
    let mut goal = goal(after);
    goal.mode = Mode::Commit;
    goal.contract = Some(Contract {
        autonomy_ceiling: Some(1),
        irreversible_min_trust: None,
        proposed_by: Some("ann".into()),
        ratified_by: Some("bob".into()),
        expires: None,
        revoked: false,
        ..Contract::default()
    });
    for task in &mut goal.tasks {
        task.reversible = true;
    }
    goal
}

/// The git object with this number.
pub(crate) fn object(n: u32) -> ObjectId {
    ObjectId::new(&format!("{n:08x}{:032x}", 0)).unwrap()
}

pub(crate) fn change(parent: Option<ObjectId>, tree: u32, paths: u64) -> Change {
    let (reference, tree) = (RefName::new("refs/heads/main").unwrap(), object(tree));
    Change {
        reference,
        parent,
        tree,
        paths,
    }
}

/// The repository and the sinks around a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ground {
    /// Whether a commit is asked for; then the driver looks at the repository.
    pub(crate) gate: bool,
    pub(crate) sinks: Vec<String>,
    pub(crate) head: Option<ObjectId>,
    /// Whether no branch is checked out.
    pub(crate) detached: bool,
    /// Paths that differ from HEAD.
    pub(crate) dirty: u64,
    /// Objects made so far.
    pub(crate) objects: u32,
    /// Whether a record is written about every task that is resolved.
    pub(crate) records: bool,
    /// How the tree stands, where somebody looks.
    pub(crate) survey: Option<Survey>,
    /// What the audit of the next change finds.
    pub(crate) audit: Option<Audited>,
    /// Whether a person says that the tree is theirs.
    pub(crate) accepts_tree: bool,
}

impl Ground {
    /// A clean repository with one commit, and these sinks.
    pub(crate) fn gate(sinks: &[&str]) -> Self {
        Self {
            gate: true,
            sinks: sinks.iter().map(ToString::to_string).collect(),
            head: Some(object(1)),
            detached: false,
            dirty: 0,
            objects: 1,
            records: false,
            survey: None,
            audit: None,
            accepts_tree: false,
        }
    }

    /// The same, where every task that is resolved leaves a record.
    pub(crate) fn recorded(sinks: &[&str]) -> Self {
        Self {
            records: true,
            ..Self::gate(sinks)
        }
    }

    fn change(&self) -> Option<Change> {
        let mut change = change(self.head.clone(), self.objects, self.dirty);
        if self.detached {
            change.reference = RefName::new("HEAD").unwrap();
        }
        self.gate.then_some(change)
    }
}

/// A run of one goal in memory.
pub(crate) struct World {
    pub(crate) goal: Goal,
    pub(crate) state: State,
    pub(crate) now: Timestamp,
    pub(crate) lines: Vec<String>,
    pub(crate) events: Vec<Event>,
    pub(crate) ground: Ground,
}

impl World {
    /// A driver of an older version has just come up: no gate, no sinks.
    pub(crate) fn new(goal: Goal) -> Self {
        Self::on(goal, Ground::default())
    }

    /// A driver has just come up on this ground.
    pub(crate) fn on(goal: Goal, ground: Ground) -> Self {
        let mut state = State::new();
        state.adopt(&goal);
        let now = Timestamp::from_millis(1_795_341_600_000);
        let mut world = Self {
            goal,
            state,
            now,
            lines: Vec::new(),
            events: Vec::new(),
            ground,
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
            gate: self.ground.gate,
            repo: self.ground.change(),
            sinks: self.ground.sinks.clone(),
            records: self.ground.records,
            sealed: false,
            receipt: None,
            survey: self.ground.survey.clone(),
            accepts_tree: self.ground.accepts_tree,
        }));
    }

    /// Does what the machine asks for, everything going well, until it asks for something with this name.
    #[track_caller]
    pub(crate) fn until(&mut self, name: &str) -> Action {
        for _ in 0..1000 {
            let next = self.next();
            if named(&next) == name {
                return next;
            }
            assert!(self.step(0), "the run ended before `{name}`: {:?}", self.names());
        }
        panic!("`{name}` never came");
    }

    /// The names of the events so far.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.events.iter().map(Event::name).collect()
    }

    pub(crate) fn has(&self, name: &str) -> usize {
        self.events.iter().filter(|event| event.name() == name).count()
    }

    /// Every alert on its way goes out.
    pub(crate) fn deliver(&mut self) {
        let waiting: Vec<_> = self.state.outbox().waiting().cloned().collect();
        for waiting in waiting {
            for sink in waiting.sinks {
                let (id, tries) = (waiting.alert.id.clone(), 1);
                self.say(Event::AlertDelivered(AlertDelivered { id, sink, tries }));
            }
        }
    }

    /// Does what the machine asks for; `choice` says what comes of it. False at the end of the run.
    pub(crate) fn step(&mut self, choice: u8) -> bool {
        match self.next() {
            Action::Record(event) => self.say(event),
            Action::ClearUp(attempt, stage) => self.say(interrupted(attempt, stage, Cut::Crash)),
            Action::Work(attempt, _) => self.work(attempt, choice),
            Action::Verify(attempt, _, tries) => self.verify(attempt, tries, choice),
            Action::Attest(attempt, ..) => {
                let signed = self.recorded(&attempt);
                self.say(Event::RecordSigned(attempt, signed));
            }
            Action::Commit(attempt, _) => self.commit(attempt, choice),
            Action::Wait(until) => {
                assert!(until > self.now, "a wait must end");
                self.now = until;
            }
            Action::Stuck(_) => {
                // The driver ends in order; a person mends it, and the next one goes on.
                let attempt = self.state.attempt_under_way(&self.goal).unwrap();
                self.say(interrupted(attempt, Stage::Verify, Cut::Stop));
                self.up();
            }
            Action::Stop(_) => return false,
            Action::Refuse(why) => panic!("refused: {why}"),
        }
        true
    }

    /// A signed record about an attempt, behind the last one.
    pub(crate) fn recorded(&self, attempt: &AttemptRef) -> RecordSigned {
        RecordSigned {
            file: format!("{}.json", attempt.task),
            sha256: sha256(format!("{attempt:?}").as_bytes()),
            prior: self.state.last_record(),
            unsigned: None,
        }
    }

    fn work(&mut self, attempt: AttemptRef, choice: u8) {
        self.say(started(attempt.clone()));
        self.pass_time(Duration::from_millis(u64::from(choice) * 10));
        if choice & 0x20 == 0 {
            self.ground.objects += 1;
            self.ground.dirty += 1;
        }
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
                    change: self.ground.change(),
                    no_change: None,
                    audit: self.ground.audit.clone(),
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

    fn commit(&mut self, attempt: AttemptRef, choice: u8) {
        let (code, reason, at_mutation) = (DenialCode::HeadMoved, "it moved".to_owned(), true);
        let head_is = |parent: &Option<ObjectId>| *parent == self.ground.head;
        let is_where_it_was = self.allowed().is_some_and(|change| head_is(&change.parent));
        match choice % 8 {
            0..=3 if is_where_it_was => self.committed(attempt),
            4 => {
                let (tries, lasting) = (self.commit_tries() + 1, choice < 128);
                let failed = CommitFailed {
                    reason,
                    tries,
                    lasting,
                };
                self.say(Event::CommitFailed(attempt, failed));
            }
            0..=3 | 5 => {
                let denied = GateDenied {
                    code,
                    reason,
                    at_mutation,
                };
                self.say(Event::GateDenied(attempt, denied));
            }
            6 => {
                let code = DenialCode::Irreversible;
                let escalated = GateEscalated {
                    code,
                    reason,
                    at_mutation,
                };
                self.say(Event::GateEscalated(attempt, escalated));
            }
            _ => {
                self.say(interrupted(attempt, Stage::Verify, Cut::Sigterm));
                self.up();
            }
        }
    }

    /// How often the commit under way was tried in this run.
    fn commit_tries(&self) -> u32 {
        match self.state.current().map(|current| &current.phase) {
            Some(Phase::Allowed(allowed)) => allowed.failed.as_ref().map_or(0, |(tries, ..)| *tries),
            _ => 0,
        }
    }

    /// The change that may be committed.
    fn allowed(&self) -> Option<&Change> {
        let phase = &self.state.current()?.phase;
        phase.change().filter(|_| matches!(phase, Phase::Allowed(_)))
    }

    fn committed(&mut self, attempt: AttemptRef) {
        let change = self.allowed().unwrap().clone();
        self.ground.objects += 1;
        let commit = object(self.ground.objects);
        self.ground.head = Some(commit.clone());
        self.ground.dirty = 0;
        let (tree, parent) = (change.tree, change.parent);
        self.say(Event::Commit(attempt, Commit { commit, tree, parent }));
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
        replay(std::slice::from_ref(&self.goal), lines).1
    }
}

/// A replay of these lines, of which these goals were kept, and what came of it.
pub(crate) fn replay(kept: &[Goal], lines: &[String]) -> (Replay<Kept>, Result<(), ReplayError>) {
    let kept = kept.iter().map(|goal| (goal.digest, goal.clone())).collect();
    let mut replay = Replay::new(Kept(kept));
    let done = lines.iter().try_for_each(|line| replay.feed(line.as_bytes()));
    (replay, done)
}

#[derive(Debug)]
pub(crate) struct Kept(BTreeMap<Digest, Goal>);

impl Goals for Kept {
    fn goal(&mut self, digest: Digest) -> Result<Goal, String> {
        self.0.get(&digest).cloned().ok_or_else(|| "not kept".into())
    }
}

/// What the machine asks for, in a word: the event's name, or `work`, `verify`, `commit!`, `wait`, `stop`, `clear_up`.
pub(crate) fn named(action: &Action) -> &'static str {
    match action {
        Action::Record(event) => event.name(),
        Action::ClearUp(..) => "clear_up",
        Action::Work(..) => "work",
        Action::Verify(..) => "verify",
        Action::Attest(..) => "attest",
        Action::Commit(..) => "commit!",
        Action::Wait(_) => "wait",
        Action::Stuck(_) => "stuck",
        Action::Stop(_) => "stop",
        Action::Refuse(why) => why,
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
        change: None,
        audit: None,
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

pub(crate) fn started(attempt: AttemptRef) -> Event {
    let mark = ProcessMark {
        pid: 9,
        pgid: 9,
        start_time: 1,
        boot_id: "b".into(),
    };
    Event::WorkerStarted(attempt, mark)
}
