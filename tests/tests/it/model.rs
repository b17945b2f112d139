//! The whole machine on a model of a disk: rules, store and scripted workers, crashed after each operation that changes the
//! disk, and again in the recovery; every state that a kill or a power cut may leave goes on to the end, and its history is
//! checked: no worker without its dispatch, one commit for each that the gate allowed, every alert sent.
//!
//! `MACHINE_DRIVER_MODEL=n` crashes each recovery at its first n operations; default 4.

use std::collections::{BTreeSet, hash_map::DefaultHasher};
use std::hash::{Hash as _, Hasher as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use machine_driver_governor::replay::{Goals, Replay};
use machine_driver_governor::{Action, CommitOrder, decide, next_action};
use machine_driver_state::alert::AlertId;
use machine_driver_state::canonical::sha256;
use machine_driver_state::change::{Change, ObjectId, RefName};
use machine_driver_state::control::Cut;
use machine_driver_state::event::{
    AlertDelivered, AttemptRef, Commit, DriverUp, Event, Interrupted, OutputDigest, RecordSigned, Stage,
    Verified, VerifyFailed, WorkerClass, WorkerExited,
};
use machine_driver_state::goal::file::{Checkpoint, GoalFile, Place, Progress, TaskProgress};
use machine_driver_state::goal::{Goal, Status};
use machine_driver_state::id::{ActorId, Digest};
use machine_driver_state::record::Head;
use machine_driver_state::state::{Phase, Run, State};
use machine_driver_state::store::model::ModelDisk;
use machine_driver_state::store::{Access, Expected, FileStore, Paths, Store, StoreError};
use machine_driver_state::time::Timestamp;
use machine_driver_state::usage::Usage;
use machine_driver_tests::{History, say};

const GOAL: &str = "/w/goal.json";
const TEXT: &str = r#"{
  "goal": "g", "repo": "repo", "worker_cmd": "scripted", "verify_cmd": "scripted", "tick_seconds": 0, "max_attempts": 2,
  "mode": "commit", "contract": { "proposed_by": "ann", "ratified_by": "bob", "autonomy_ceiling": 1 },
  "tasks": [
    { "id": "twice", "goal": "passes the second time", "reversible": true },
    { "id": "limited", "goal": "is rate limited once", "after": ["twice"], "reversible": true },
    { "id": "never", "goal": "never passes", "max_attempts": 1 },
    { "id": "behind", "goal": "waits in vain", "after": ["never"] }
  ]
}
"#;

/// What happened outside of the disk, and what the store has promised.
#[derive(Debug, Clone, Default, Hash)]
struct World {
    /// `TASK ATTEMPT SESSION` of every worker that ran.
    runs: Vec<String>,
    /// Lines of the log whose append returned.
    promised: Vec<String>,
    /// The record that allowed each commit of the repository, in order.
    commits: Vec<Digest>,
    /// `TASK ATTEMPT` of every record about a resolved task.
    records: Vec<String>,
    /// The alerts that went out, again and again perhaps.
    sent: Vec<String>,
}

impl World {
    /// Where HEAD is: each commit has an id of its own.
    fn head(&self) -> ObjectId {
        object(&format!("commit {:?}", self.commits))
    }

    fn change(&self) -> Change {
        Change {
            reference: RefName::new("refs/heads/main").unwrap(),
            parent: Some(self.head()),
            tree: object(&format!("tree after {} runs", self.runs.len())),
            paths: 1,
        }
    }
}

fn object(seed: &str) -> ObjectId {
    ObjectId::new(&sha256(seed.as_bytes()).to_string()).unwrap()
}

fn paths() -> Paths {
    Paths::of(Path::new(GOAL))
}

fn parse(text: &str) -> GoalFile {
    GoalFile::parse(text.as_bytes(), &Place::unseen(GOAL.into(), "/w".into(), None)).unwrap()
}

fn log_of(disk: &ModelDisk) -> Vec<u8> {
    disk.contents().get(&paths().log).cloned().unwrap_or_default()
}

/// A driver: what `machine_driver::Driver` does, with its hands replaced by a script.
struct Mini<'a> {
    disk: &'a ModelDisk,
    world: &'a mut World,
    store: FileStore,
    file: GoalFile,
    state: State,
    now: Timestamp,
}

impl<'a> Mini<'a> {
    fn open(disk: &'a ModelDisk, world: &'a mut World) -> Result<Self, StoreError> {
        let mut store = FileStore::open_on(Arc::new(disk.clone()), &paths(), Access::Create)?;
        let file = parse(&store.goal_text()?);
        let checkpoint = file.progress().checkpoint.map(|at| Head {
            seq: at.seq,
            hash: at.hash,
        });
        let mut state = State::new();
        let mut lines = Vec::new();
        store.load(
            &Expected {
                deployment_id: file.goal().deployment_id.clone(),
                checkpoint,
            },
            &mut |entry| {
                lines.push(String::from_utf8_lossy(entry.bytes).into_owned());
                Ok(state.apply(&entry.record)?)
            },
        )?;
        assert!(
            lines.starts_with(&world.promised),
            "a promised record is lost: {lines:#?} {:#?}",
            world.promised
        );
        assert!(
            lines.len() <= world.promised.len() + 1,
            "records from nowhere: {lines:#?}"
        );
        world.promised = lines;
        let now = Timestamp::from_millis(state.last_at().millis().max(1_795_341_600_000));
        Ok(Self {
            disk,
            world,
            store,
            file,
            state,
            now,
        })
    }

    fn run(mut self) -> Result<(), StoreError> {
        self.store.save_snapshot(&self.file.snapshot())?;
        self.state.adopt(self.file.goal());
        let goal = self.file.goal();
        let up = DriverUp {
            version: "0".into(),
            pid: 7,
            boot_id: "b".into(),
            goal: goal.name.clone(),
            goal_sha256: goal.digest,
            mode_asked: "commit".into(),
            mode: "commit".into(),
            tier: "group".into(),
            gate: true,
            repo: Some(self.world.change()),
            sinks: vec!["bot".into()],
            records: true,
            sealed: false,
            receipt: None,
            survey: None,
            accepts_tree: false,
        };
        self.record(Event::DriverUp(up))?;
        let waiting: Vec<AlertId> = self
            .state
            .outbox()
            .waiting()
            .map(|waiting| waiting.alert.id.clone())
            .collect();
        waiting.into_iter().try_for_each(|id| self.send(id))?;
        self.show()?;
        let worker = ActorId::new("worker").unwrap();
        loop {
            self.now = self.now.after(Duration::from_millis(1));
            match next_action(self.file.goal(), &self.state, &worker, self.now) {
                Action::Record(event) => self.record(event)?,
                Action::ClearUp(attempt, stage) => self.record(crashed(attempt, stage))?,
                Action::Work(attempt, _) => self.work(attempt)?,
                Action::Verify(attempt, ..) => self.verify(attempt)?,
                Action::Attest(attempt, ..) => self.attest(attempt)?,
                Action::Commit(attempt, index) => self.commit(attempt, index)?,
                Action::Wait(until) => self.now = until,
                Action::Stop(run) => {
                    assert_eq!(run, Run::Complete);
                    return self.show();
                }
                Action::Stuck(why) => panic!("stuck: {why}"),
                Action::Refuse(why) => panic!("refused: {why}"),
            }
        }
    }

    fn record(&mut self, event: Event) -> Result<(), StoreError> {
        let shows = !matches!(
            event,
            Event::WorkerExited(..) | Event::Verified(..) | Event::VerifyFailed(..)
        );
        let record = self.store.append(self.now, event)?;
        self.world.promised.push(record.line().unwrap());
        self.state.apply(&record).unwrap();
        if let Event::AlertRaised(raised) = &record.event {
            self.send(raised.id.clone())?;
        }
        if shows { self.show() } else { Ok(()) }
    }

    /// Sent only after it is where no power cut can reach it.
    fn send(&mut self, id: AlertId) -> Result<(), StoreError> {
        self.has_synced(id.as_str());
        self.world.sent.push(id.to_string());
        let (sink, tries) = ("bot".into(), 1);
        self.record(Event::AlertDelivered(AlertDelivered { id, sink, tries }))
    }

    /// Written once for each attempt, whatever is killed behind it.
    fn attest(&mut self, attempt: AttemptRef) -> Result<(), StoreError> {
        let about = format!("{} {}", attempt.task, attempt.attempt);
        if self.world.records.last() != Some(&about) {
            assert!(!self.world.records.contains(&about), "two records about {about}");
            self.world.records.push(about.clone());
        }
        let signed = RecordSigned {
            file: format!("{}.json", attempt.task),
            sha256: sha256(about.as_bytes()),
            prior: self.state.last_record(),
            unsigned: None,
        };
        self.record(Event::RecordSigned(attempt, signed))
    }

    /// Made only after what allows it is where no power cut can reach it, and once.
    fn commit(&mut self, attempt: AttemptRef, index: usize) -> Result<(), StoreError> {
        let Some(Phase::Allowed(allowed)) = self.state.current().map(|current| current.phase.clone()) else {
            panic!("a commit that nothing allowed");
        };
        self.has_synced(&allowed.record.to_string());
        if self.world.commits.last() != Some(&allowed.record) {
            let order = CommitOrder::of(self.file.goal(), index, &allowed).unwrap();
            assert!(
                decide(self.file.goal(), &self.state, index, self.now)
                    .unwrap()
                    .covers(&order)
            );
            assert_eq!(allowed.change.parent, Some(self.world.head()));
            self.world.commits.push(allowed.record);
        }
        let commit = Commit {
            commit: self.world.head(),
            tree: allowed.change.tree,
            parent: allowed.change.parent,
        };
        self.record(Event::Commit(attempt, commit))
    }

    fn work(&mut self, attempt: AttemptRef) -> Result<(), StoreError> {
        let session = attempt.session.clone().unwrap();
        self.has_synced(session.as_str());
        self.world.runs.push(format!(
            "{} {} {}",
            attempt.task,
            attempt.attempt,
            session.as_str()
        ));
        let limited = attempt.task.as_str() == "limited" && attempt.attempt == 1;
        let (class, exit) = if limited {
            (WorkerClass::RateLimited, 75)
        } else {
            (WorkerClass::Ok, 0)
        };
        let exited = WorkerExited {
            class,
            exit: Some(exit),
            signal: None,
            timed_out: false,
            usage: Usage::default(),
            output: output(),
            wall_ms: 1,
            retry_after_ms: Some(5),
            detail: None,
        };
        self.record(Event::WorkerExited(attempt, exited))
    }

    /// A worker runs only after its dispatch is where no power cut can reach it.
    fn has_synced(&self, session: &str) {
        for cut in self.disk.power_cuts() {
            let log = String::from_utf8_lossy(&log_of(&cut)).into_owned();
            assert!(
                log.contains(session),
                "a power cut while the worker runs loses its dispatch: {log}"
            );
        }
    }

    fn verify(&mut self, attempt: AttemptRef) -> Result<(), StoreError> {
        let verifier_id = ActorId::new("verifier").unwrap();
        let passes = match attempt.task.as_str() {
            "twice" => attempt.attempt >= 2,
            "never" => false,
            _ => true,
        };
        let event = if passes {
            Event::Verified(
                attempt,
                Verified {
                    verifier_id,
                    output: output(),
                    wall_ms: 1,
                    change: Some(self.world.change()),
                    no_change: None,
                    audit: None,
                },
            )
        } else {
            let (reason, exit, tail) = ("exit 1".into(), Some(1), "no".into());
            Event::VerifyFailed(
                attempt,
                VerifyFailed {
                    verifier_id,
                    reason,
                    exit,
                    signal: None,
                    timed_out: false,
                    output: output(),
                    tail,
                    wall_ms: 1,
                    change: None,
                    audit: None,
                },
            )
        };
        self.record(event)
    }

    fn show(&mut self) -> Result<(), StoreError> {
        let (goal, state) = (self.file.goal(), &self.state);
        let of_task = |id| {
            let known = state.task(id).cloned().unwrap_or_default();
            TaskProgress {
                status: state.status(id),
                attempts: known.attempts.into(),
                started: known.started,
                done: known.done,
                reason: known.reason,
                verify_tail: known.verify_tail,
                commit: known.commit.map(|commit| commit.to_string()),
            }
        };
        let progress = Progress {
            tasks: goal.tasks.iter().map(|task| of_task(&task.id)).collect(),
            runs: state.spent().worker_runs,
            wall_used: state.spent().wall,
            last_success_at: state.last_success_at(),
            checkpoint: state.head().map(|head| Checkpoint {
                seq: head.seq,
                hash: head.hash,
            }),
        };
        self.store.checkpoint(&self.file.render(&progress))
    }
}

fn output() -> OutputDigest {
    OutputDigest {
        bytes: 0,
        sha256: sha256(b""),
    }
}

fn crashed(attempt: AttemptRef, stage: Stage) -> Event {
    let (usage, output_bytes, unlogged_wall_ms) = (Usage::default(), 0, 0);
    Event::Interrupted(
        attempt,
        Interrupted {
            by: Cut::Crash,
            stage,
            usage,
            output_bytes,
            unlogged_wall_ms,
        },
    )
}

/// From here to the end without another crash; then the whole history has to be right.
fn goes_on_to_the_end(disk: &ModelDisk, world: &World) {
    let mut world = world.clone();
    Mini::open(disk, &mut world).and_then(Mini::run).unwrap();
    let history = History(
        world
            .promised
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    );
    history.is_consistent();
    history.asked_for(&world.runs.join("\n"));
    assert_eq!(history.names().last(), Some(&"goal_complete"));
    let allowed: Vec<Digest> = history
        .of("gate_allowed")
        .map(|one| Digest::new(one["hash"].as_str().unwrap()).unwrap())
        .collect();
    assert_eq!(
        (&world.commits, history.count("commit")),
        (&allowed, 2),
        "one commit for each that was allowed"
    );
    assert_eq!(history.count("alert_raised"), 1);
    assert_eq!(
        (world.records.len(), history.count("record_signed")),
        (4, 4),
        "one record about each task"
    );
    for alert in history.of("alert_raised") {
        assert!(
            world.sent.iter().any(|sent| alert["id"] == **sent),
            "an alert was lost"
        );
    }
    let shown = parse(&String::from_utf8(disk.contents()[Path::new(GOAL)].clone()).unwrap());
    let statuses: Vec<Status> = shown.progress().tasks.iter().map(|task| task.status).collect();
    assert_eq!(
        statuses,
        [Status::Done, Status::Done, Status::Blocked, Status::Blocked]
    );
    assert_eq!(shown.progress().runs, history.count("dispatch") as u64);
    let mut replay = Replay::new(Kept(shown.goal().clone()));
    world
        .promised
        .iter()
        .for_each(|line| replay.feed(line.as_bytes()).unwrap());
}

struct Kept(Goal);

impl Goals for Kept {
    fn goal(&mut self, digest: Digest) -> Result<Goal, String> {
        (digest == self.0.digest)
            .then(|| self.0.clone())
            .ok_or_else(|| "not kept".into())
    }
}

#[derive(Default)]
struct Exploration {
    states: usize,
    seen: BTreeSet<u64>,
}

impl Exploration {
    /// Crashes a run on `disk` after each of its first `most` operations, and goes `deeper` into what is left.
    fn crash(&mut self, disk: &ModelDisk, world: &World, most: usize, deeper: &[usize]) {
        for stop in 0..most {
            let (disk, mut world) = (disk.killed(), world.clone());
            disk.stop_after(stop);
            let ended = Mini::open(&disk, &mut world).and_then(Mini::run);
            if !disk.is_stopped() {
                ended.unwrap();
                return;
            }
            let images = disk.power_cuts().into_iter().chain([disk.killed()]);
            images.for_each(|image| self.look_at(&image, &world, deeper));
        }
    }

    fn look_at(&mut self, image: &ModelDisk, world: &World, deeper: &[usize]) {
        let mut hasher = DefaultHasher::new();
        (image.fingerprint(), world, deeper).hash(&mut hasher);
        if !self.seen.insert(hasher.finish()) {
            return;
        }
        self.states += 1;
        goes_on_to_the_end(&image.killed(), world);
        if let Some((most, deeper)) = deeper.split_first() {
            self.crash(image, world, *most, deeper);
        }
    }
}

#[test]
fn every_crash_and_every_crash_in_the_recovery_ends_with_every_task_done_or_blocked() {
    let recovery = std::env::var("MACHINE_DRIVER_MODEL")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(4);
    let disk = ModelDisk::new([(Path::new(GOAL), TEXT.as_bytes())]);
    let mut exploration = Exploration::default();
    exploration.crash(&disk, &World::default(), usize::MAX, &[recovery]);
    say(&format!(
        "the machine on a model of a disk: {} crash states, each gone on from to the end",
        exploration.states
    ));
    assert!(exploration.states > 1000, "{}", exploration.states);
}

/// The model is worth something only when it sees what is wrong.
#[test]
#[should_panic(expected = "loses its dispatch")]
fn a_missing_sync_of_the_log_is_found() {
    let disk = ModelDisk::new([(Path::new(GOAL), TEXT.as_bytes())]);
    disk.ignore_syncs_of("driver-log.jsonl");
    let _ = Mini::open(&disk, &mut World::default()).and_then(Mini::run);
}
