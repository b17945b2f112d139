//! The gate against a second opinion: an oracle that was written from `governance.md` alone, as a list of clauses, over
//! every combination of what the gate looks at.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[expect(dead_code, reason = "each test file uses its part")]
mod common;

use std::io::Write;
use std::time::Duration;

use common::{change, committing, digest, id, interrupted, object, verifier, worker};
use machine_driver_governor::gate::{self, could_commit, foresee};
use machine_driver_governor::{CommitOrder, decide, dial};
use machine_driver_state::change::{Change, ObjectId};
use machine_driver_state::control::Cut;
use machine_driver_state::event::{
    AttemptRef, DenialCode, Dispatch, DriverUp, Event, GateAllowed, GateDenied, OutputDigest, Proposed,
    Retried, Stage, Tampering, Verified, WorkerClass, WorkerExited,
};
use machine_driver_state::goal::{CommandLine, Contract, Goal, Mode};
use machine_driver_state::id::{SessionId, TaskId};
use machine_driver_state::record::Record;
use machine_driver_state::state::State;
use machine_driver_state::time::Timestamp;
use machine_driver_state::usage::Usage;

/// The task that the gate is asked about, and the two beside it.
const TASK: usize = 1;
const OTHER: usize = 0;
const NOW_MILLIS: i64 = 1_795_341_610_000;
/// Between the last record and now.
const SINCE: Duration = Duration::from_secs(10);
const TREE: u32 = 77;

/// How far the attempt is that the gate is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    NoneUnderWay,
    Dispatched,
    Exited,
    Failed,
    /// Passed, and the change was read.
    Passed,
    /// Passed, and nobody read a change.
    PassedUnread,
    /// Passed, and no commit can hold it.
    PassedNoTree,
    Allowed,
    RefusedByContract,
    Refused,
    NotCommitted,
    OtherTask,
    LeftBehind,
    LeftBehindAllowed,
    /// Left behind when it was allowed, and cleared up.
    ClearedUp,
    CutOff,
    /// Cut off when it was allowed, and taken up by the next run.
    TakenUp,
}

const STANDS: [Stand; 17] = [
    Stand::NoneUnderWay,
    Stand::Dispatched,
    Stand::Exited,
    Stand::Failed,
    Stand::Passed,
    Stand::PassedUnread,
    Stand::PassedNoTree,
    Stand::Allowed,
    Stand::RefusedByContract,
    Stand::Refused,
    Stand::NotCommitted,
    Stand::OtherTask,
    Stand::LeftBehind,
    Stand::LeftBehindAllowed,
    Stand::ClearedUp,
    Stand::CutOff,
    Stand::TakenUp,
];

/// What the driver knows of HEAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    Unknown,
    Unborn,
    At(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Nothing,
    Itself,
    Another,
}

/// Everything about the run that the gate may look at, in words.
#[derive(Debug, Clone, Copy)]
struct Scene {
    stand: Stand,
    head: Head,
    /// The commit that the change starts from.
    parent: Option<u32>,
    held: Held,
    tampered: bool,
}

/// What a scene has used, counted by the test itself.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    runs: u64,
    tokens: u64,
    bytes: u64,
    runs_without_cost: u64,
}

/// A scene played out, record by record.
struct Played {
    state: State,
    used: Used,
    scene: Scene,
}

impl Played {
    fn of(scene: Scene) -> Self {
        let mut state = State::new();
        state.adopt(&goal());
        let used = Used::default();
        let mut play = Self { state, used, scene };
        play.hold();
        play.up(true);
        if scene.tampered {
            let (what, kept_as) = ("goal.json was edited".into(), None);
            play.say(Event::Tampering(Tampering { what, kept_as }));
        }
        play.attempt();
        play
    }

    /// An earlier run, without a gate, that leaves a change for review.
    fn hold(&mut self) {
        let held = match self.scene.held {
            Held::Nothing => return,
            Held::Itself => TASK,
            Held::Another => OTHER,
        };
        self.up(false);
        let attempt = self.dispatch(held, 1);
        self.exit(&attempt);
        self.pass(&attempt, None, None);
        self.say(Event::Proposed(attempt, Proposed {}));
        if held == TASK {
            let (task, with) = (id(TASK), Vec::new());
            self.say(Event::Retried(Retried { task, with }));
        }
    }

    fn attempt(&mut self) {
        let stand = self.scene.stand;
        if stand == Stand::NoneUnderWay {
            return;
        }
        let index = if stand == Stand::OtherTask { 2 } else { TASK };
        let number = if self.scene.held == Held::Itself && index == TASK {
            2
        } else {
            1
        };
        let attempt = self.dispatch(index, number);
        if stand == Stand::Dispatched {
            return;
        }
        self.exit(&attempt);
        match stand {
            Stand::Exited => return,
            Stand::Failed => {
                let output = self.output();
                let failure = common::failure(verifier(), output);
                return self.say(Event::VerifyFailed(attempt, failure));
            }
            Stand::PassedUnread => return self.pass(&attempt, None, None),
            Stand::PassedNoTree => return self.pass(&attempt, None, Some("an LFS filter".into())),
            _ => self.pass(&attempt, Some(self.change()), None),
        }
        self.at_the_gate(attempt);
    }

    fn at_the_gate(&mut self, attempt: AttemptRef) {
        let allowed = Event::GateAllowed(
            attempt.clone(),
            GateAllowed {
                change: self.change(),
                contract: digest(201),
                needs: 1,
                rollback_ref: None,
                left_over: Vec::new(),
                approved_by: None,
            },
        );
        let denied = |code| {
            let (reason, at_mutation) = ("why".to_owned(), false);
            Event::GateDenied(
                attempt.clone(),
                GateDenied {
                    code,
                    reason,
                    at_mutation,
                },
            )
        };
        match self.scene.stand {
            Stand::Allowed => self.say(allowed),
            Stand::RefusedByContract => self.say(denied(DenialCode::Expired)),
            Stand::Refused => self.say(denied(DenialCode::Ceiling)),
            Stand::NotCommitted => {
                self.say(allowed);
                let reason = "no space".to_owned();
                let failed = machine_driver_state::event::CommitFailed {
                    reason,
                    tries: 1,
                    lasting: true,
                };
                self.say(Event::CommitFailed(attempt.clone(), failed));
            }
            Stand::LeftBehind => self.up(true),
            Stand::LeftBehindAllowed | Stand::ClearedUp => {
                self.say(allowed);
                self.up(true);
                if self.scene.stand == Stand::ClearedUp {
                    self.say(interrupted(attempt.clone(), Stage::Verify, Cut::Crash));
                }
            }
            Stand::CutOff => self.say(interrupted(attempt.clone(), Stage::Verify, Cut::Sigterm)),
            Stand::TakenUp => {
                self.say(allowed);
                self.say(interrupted(attempt.clone(), Stage::Verify, Cut::Sigterm));
                self.up(true);
            }
            _ => {}
        }
    }

    fn up(&mut self, gate: bool) {
        let parent = match self.scene.head {
            Head::Unknown => None,
            Head::Unborn => Some(None),
            Head::At(n) => Some(Some(object(n))),
        };
        let repo = parent.map(|parent| change(parent, 50, 1)).filter(|_| gate);
        self.say(Event::DriverUp(DriverUp {
            version: "0".into(),
            pid: 7,
            boot_id: "b".into(),
            goal: "g".into(),
            goal_sha256: digest(200),
            mode_asked: "commit".into(),
            mode: "commit".into(),
            tier: "group".into(),
            gate,
            repo,
            sinks: Vec::new(),
            records: false,
            sealed: false,
            receipt: None,
            survey: None,
            accepts_tree: false,
        }));
    }

    fn dispatch(&mut self, index: usize, number: u32) -> AttemptRef {
        let attempt = AttemptRef {
            task: id(index),
            attempt: number,
            session: Some(SessionId::new(&"ab".repeat(16)).unwrap()),
            idempotency_key: digest(u8::try_from(index).unwrap()),
            autonomy_used: 0,
        };
        let worker_id = worker();
        self.say(Event::Dispatch(attempt.clone(), Dispatch { worker_id }));
        self.used.runs += 1;
        attempt
    }

    fn exit(&mut self, attempt: &AttemptRef) {
        let usage = Usage {
            tokens: Some(100),
            usd_micros: None,
        };
        self.say(Event::WorkerExited(
            attempt.clone(),
            WorkerExited {
                class: WorkerClass::Ok,
                exit: Some(0),
                signal: None,
                timed_out: false,
                usage,
                output: self.output(),
                wall_ms: 1,
                retry_after_ms: None,
                detail: None,
            },
        ));
        self.used.tokens += 100;
        self.used.bytes += 1000;
        self.used.runs_without_cost += 1;
    }

    fn pass(&mut self, attempt: &AttemptRef, change: Option<Change>, no_change: Option<String>) {
        let (verifier_id, output, wall_ms) = (verifier(), self.output(), 1);
        let verified = Verified {
            verifier_id,
            output,
            wall_ms,
            change,
            no_change,
            audit: None,
        };
        self.say(Event::Verified(attempt.clone(), verified));
    }

    fn change(&self) -> Change {
        change(self.scene.parent.map(object), TREE, 3)
    }

    fn output(&self) -> OutputDigest {
        let (bytes, sha256) = (1000, digest(2));
        OutputDigest { bytes, sha256 }
    }

    /// No time passes between the records.
    fn say(&mut self, event: Event) {
        let at = Timestamp::from_millis(NOW_MILLIS - i64::try_from(SINCE.as_millis()).unwrap());
        let record = Record::after(self.state.head(), at, "d", event).unwrap();
        self.state.apply(&record).unwrap();
    }
}

fn now() -> Timestamp {
    Timestamp::from_millis(NOW_MILLIS)
}

fn goal() -> Goal {
    committing(&[vec![], vec![], vec![]])
}

/// A limit of the budget, beside what was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    None,
    RunsReached,
    RunsExceeded,
    TokensReached,
    TokensExceeded,
    BytesReached,
    BytesExceeded,
    /// A limit on what no worker reported.
    Cost,
    TimeLeft,
    TimeReached,
}

const LIMITS: [Limit; 10] = [
    Limit::None,
    Limit::RunsReached,
    Limit::RunsExceeded,
    Limit::TokensReached,
    Limit::TokensExceeded,
    Limit::BytesReached,
    Limit::BytesExceeded,
    Limit::Cost,
    Limit::TimeLeft,
    Limit::TimeReached,
];

/// What the contract says, where there is one.
#[derive(Debug, Clone, Copy)]
struct Terms {
    ceiling: Option<u8>,
    floor: Option<u64>,
    proposed: Option<&'static str>,
    ratified: Option<&'static str>,
    /// Milliseconds from now.
    expires: Option<i64>,
    revoked: bool,
}

const GOOD: Terms = Terms {
    ceiling: Some(2),
    floor: Some(2),
    proposed: Some("ann"),
    ratified: Some("bob"),
    expires: None,
    revoked: false,
};

/// What the operator asks for.
#[derive(Debug, Clone, Copy)]
struct Asked {
    mode: Mode,
    verify_of_goal: bool,
    verify_of_task: bool,
    reversible: bool,
    limit: Limit,
    terms: Option<Terms>,
}

impl Asked {
    fn goal(&self, used: &Used) -> Goal {
        let mut goal = goal();
        self.put_into(&mut goal, used);
        goal
    }

    fn put_into(&self, goal: &mut Goal, used: &Used) {
        let command = || CommandLine::Shell("true".into());
        goal.mode = self.mode;
        goal.verify_cmd = self.verify_of_goal.then(command);
        let task = goal.tasks.get_mut(TASK).unwrap();
        task.verify_cmd = self.verify_of_task.then(command);
        task.reversible = self.reversible;
        goal.contract = self.terms.map(|terms| Contract {
            autonomy_ceiling: terms.ceiling,
            irreversible_min_trust: terms.floor,
            proposed_by: terms.proposed.map(str::to_owned),
            ratified_by: terms.ratified.map(str::to_owned),
            expires: terms
                .expires
                .map(|after| Timestamp::from_millis(NOW_MILLIS + after)),
            revoked: terms.revoked,
            ..Contract::default()
        });
        goal.budget = machine_driver_state::goal::Budget::default();
        let budget = &mut goal.budget;
        match self.limit {
            Limit::None => {}
            Limit::RunsReached => budget.worker_runs_max = Some(used.runs.max(1)),
            Limit::RunsExceeded => budget.worker_runs_max = Some(used.runs.saturating_sub(1)),
            Limit::TokensReached => budget.tokens_max = Some(used.tokens.max(1)),
            Limit::TokensExceeded => budget.tokens_max = Some(used.tokens.saturating_sub(1)),
            Limit::BytesReached => budget.output_bytes_max = Some(used.bytes.max(1)),
            Limit::BytesExceeded => budget.output_bytes_max = Some(used.bytes.saturating_sub(1)),
            Limit::Cost => budget.usd_micros_max = Some(1_000_000),
            Limit::TimeLeft => budget.wall_max = Some(SINCE + Duration::from_millis(1)),
            Limit::TimeReached => budget.wall_max = Some(SINCE),
        }
    }
}

/// What the specification says, clause by clause. Names nothing of the governor but the words for its answers.
#[derive(Debug, PartialEq, Eq)]
struct Leave {
    needs: u64,
    rollback: Option<u32>,
}

fn oracle(scene: &Scene, asked: &Asked, used: &Used) -> Result<Leave, DenialCode> {
    use Stand::{Allowed, ClearedUp, Passed, PassedNoTree, PassedUnread, TakenUp};
    // "no override": until somebody looked, what was tampered with stays shut.
    if scene.tampered && !is_seen_to(scene) {
        return Err(DenialCode::Tampered);
    }
    // "operator asked `commit`"
    if asked.mode != Mode::Commit {
        return Err(DenialCode::NotAsked);
    }
    // "a verifier exists (trust 1)"
    if !asked.verify_of_goal && !asked.verify_of_task {
        return Err(DenialCode::NoVerifier);
    }
    // "its last pass is for this very attempt"
    let judged = [Passed, Allowed, ClearedUp, TakenUp, PassedNoTree, PassedUnread];
    if !judged.contains(&scene.stand) {
        return Err(DenialCode::NotVerified);
    }
    // "... and tree"
    if matches!(scene.stand, PassedNoTree | PassedUnread) {
        return Err(DenialCode::NoTree);
    }
    // ... on top of what this run knows: somebody else's commit is not covered by what was verified before.
    let knows = match scene.head {
        Head::Unknown => false,
        Head::Unborn => scene.parent.is_none(),
        Head::At(n) => scene.parent == Some(n),
    };
    if !knows {
        return Err(DenialCode::HeadMoved);
    }
    // ... and nothing of a proposal that a person has not decided on.
    if scene.held == Held::Another {
        return Err(DenialCode::HeldBack);
    }
    admitted(asked, used, scene.parent.is_some())?;
    Ok(Leave {
        needs: needed(asked, scene.parent.is_some()).unwrap(),
        rollback: scene.parent,
    })
}

/// What has nothing to do with the work itself: the ceiling, the budget, and last box 0.
fn admitted(asked: &Asked, used: &Used, has_parent: bool) -> Result<(), DenialCode> {
    // "`autonomy_ceiling` clears what the action needs"
    let Some(terms) = asked.terms else {
        return Err(DenialCode::Ceiling);
    };
    let ceiling = terms.ceiling.map_or(0, u64::from);
    if ceiling < 1 {
        return Err(DenialCode::Ceiling);
    }
    // "1 if reversible, `irreversible_min_trust` if not (absent: nothing clears it)"
    match needed(asked, has_parent) {
        Some(needs) if needs <= ceiling => {}
        _ => return Err(DenialCode::Irreversible),
    }
    // "budget not breached"; an unknown cost is not 0.
    let breached = match asked.limit {
        Limit::RunsExceeded => used.runs > 0,
        Limit::TokensExceeded => used.tokens > 0,
        Limit::BytesExceeded => used.bytes > 0,
        Limit::Cost => used.runs_without_cost > 0,
        Limit::TimeReached => true,
        Limit::None | Limit::RunsReached | Limit::TokensReached | Limit::BytesReached | Limit::TimeLeft => {
            false
        }
    };
    if breached {
        return Err(DenialCode::Budget);
    }
    // "and last, box 0: the contract is ratified and not expired or revoked"
    if terms.revoked {
        return Err(DenialCode::Revoked);
    }
    let (proposed, ratified) = (terms.proposed.map(who), terms.ratified.map(who));
    let are_two = matches!((proposed, ratified), (Some(one), Some(other)) if one != other && !one.is_empty() && !other.is_empty());
    if !are_two {
        return Err(DenialCode::NotRatified);
    }
    if terms.expires.is_some_and(|after| after <= 0) {
        return Err(DenialCode::Expired);
    }
    Ok(())
}

fn needed(asked: &Asked, has_parent: bool) -> Option<u64> {
    // "`reversible: true` counts only if the rollback is real: the parent commit exists"
    if asked.reversible && has_parent {
        Some(1)
    } else {
        asked.terms.and_then(|terms| terms.floor)
    }
}

/// An orderly start after a stop that was asked for: somebody looked.
fn is_seen_to(scene: &Scene) -> bool {
    scene.stand == Stand::TakenUp
}

/// The person behind a spelling, for the spellings that this test uses.
fn who(name: &str) -> &'static str {
    match name {
        "ann" | " Ann" | "a\u{200b}nn" | "ＡＮＮ" => "ann",
        "bob" => "bob",
        "" | " \u{200b}\t" => "",
        other => panic!("who is {other:?}?"),
    }
}

/// Compares one combination; `true` where it was allowed.
fn check(stage: &Played, asked: &Asked, goal: &Goal) -> bool {
    let Played { state, used, scene } = stage;
    let expected = oracle(scene, asked, used);
    let case = || format!("{scene:?}\n{asked:?}\n{used:?}");
    match (decide(goal, state, TASK, now()), expected) {
        (Ok(permit), Ok(leave)) => {
            let is = (
                permit.task(),
                permit.tree(),
                permit.contract(),
                permit.needs(),
                permit.rollback(),
            );
            let rollback: Option<ObjectId> = leave.rollback.map(object);
            let should = (
                &id(TASK),
                &object(TREE),
                digest(201),
                leave.needs,
                rollback.as_ref(),
            );
            assert_eq!(is, should, "{}", case());
            true
        }
        (Err(denial), Err(code)) => {
            assert_eq!(denial.code, code, "{}", case());
            assert_eq!(denial.is_for_a_person(), code == DenialCode::Irreversible);
            assert!(!denial.reason.is_empty() && !denial.reason.contains('\n'));
            false
        }
        (is, should) => panic!("{is:?}, but it should be {should:?}:\n{}", case()),
    }
}

/// The same for what is foreseen before there is any work.
fn check_foreseen(stage: &Played, asked: &Asked, goal: &Goal) {
    let Played { state, used, scene } = stage;
    let expected = if scene.tampered && !is_seen_to(scene) {
        Err(DenialCode::Tampered)
    } else if asked.mode != Mode::Commit {
        Err(DenialCode::NotAsked)
    } else if !asked.verify_of_goal && !asked.verify_of_task {
        Err(DenialCode::NoVerifier)
    } else if scene.held == Held::Another {
        Err(DenialCode::HeldBack)
    } else {
        admitted(asked, used, true)
    };
    let is = foresee(goal, state, TASK, now());
    let is_code = is.as_ref().map_err(|denial| denial.code).copied();
    assert_eq!(is_code, expected, "{scene:?}\n{asked:?}");
    let is_next = state.current_index() == Some(TASK);
    if is_next {
        let granted = dial::granted(goal, state, now());
        let because = match (asked.mode, is) {
            (Mode::Propose, _) => None,
            (Mode::Commit, is) => is.err().map(|denial| denial.reason),
        };
        assert_eq!(granted.mode == Mode::Commit, expected.is_ok());
        assert_eq!(granted.because, because);
    }
}

/// Every scene that can come about.
fn scenes() -> Vec<Played> {
    let mut scenes = Vec::new();
    for stand in STANDS {
        for head in [Head::Unknown, Head::Unborn, Head::At(1), Head::At(2)] {
            for parent in [None, Some(1)] {
                for held in [Held::Nothing, Held::Itself, Held::Another] {
                    for tampered in [false, true] {
                        scenes.push(Played::of(Scene {
                            stand,
                            head,
                            parent,
                            held,
                            tampered,
                        }));
                    }
                }
            }
        }
    }
    scenes
}

/// Contracts that fail one clause each, or several.
fn some_terms() -> Vec<Option<Terms>> {
    let with = |change: fn(&mut Terms)| {
        let mut terms = GOOD;
        change(&mut terms);
        Some(terms)
    };
    vec![
        None,
        Some(GOOD),
        with(|terms| terms.ceiling = None),
        with(|terms| terms.ceiling = Some(1)),
        with(|terms| terms.floor = None),
        with(|terms| terms.ratified = Some(" Ann")),
        with(|terms| terms.expires = Some(0)),
        with(|terms| {
            terms.revoked = true;
            terms.ceiling = Some(0);
        }),
    ]
}

fn all_terms() -> Vec<Option<Terms>> {
    let names = [
        (Some("ann"), Some("bob")),
        (Some("bob"), Some("ＡＮＮ")),
        (Some("ann"), Some("ann")),
        (Some("ann"), Some(" Ann")),
        (Some("ＡＮＮ"), Some("a\u{200b}nn")),
        (None, Some("bob")),
        (Some("ann"), None),
        (None, None),
        (Some(""), Some("bob")),
        (Some("ann"), Some(" \u{200b}\t")),
        (Some(""), Some(" \u{200b}\t")),
    ];
    let ceilings = [None, Some(0), Some(1), Some(2), Some(3), Some(4), Some(5)];
    let floors = [None, Some(1), Some(2), Some(3), Some(4), Some(5), Some(6)];
    let mut all = vec![None];
    for ceiling in ceilings {
        for floor in floors {
            for (proposed, ratified) in names {
                for expires in [None, Some(-1), Some(0), Some(1)] {
                    for revoked in [false, true] {
                        all.push(Some(Terms {
                            ceiling,
                            floor,
                            proposed,
                            ratified,
                            expires,
                            revoked,
                        }));
                    }
                }
            }
        }
    }
    all
}

fn tell(line: &str) {
    // Not `eprintln!`: what a test prints is kept back where it passes.
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[test]
fn every_combination_of_run_and_goal_is_decided_as_specified() {
    let scenes = scenes();
    let (mut asked_for, mut allowed) = (0_u64, 0_u64);
    for terms in some_terms() {
        for mode in [Mode::Propose, Mode::Commit] {
            for (verify_of_goal, verify_of_task) in
                [(false, false), (false, true), (true, false), (true, true)]
            {
                for reversible in [false, true] {
                    for limit in LIMITS {
                        let asked = Asked {
                            mode,
                            verify_of_goal,
                            verify_of_task,
                            reversible,
                            limit,
                            terms,
                        };
                        let mut goal = goal();
                        for stage in &scenes {
                            asked.put_into(&mut goal, &stage.used);
                            allowed += u64::from(check(stage, &asked, &goal));
                            check_foreseen(stage, &asked, &goal);
                            asked_for += 1;
                        }
                    }
                }
            }
        }
    }
    tell(&format!(
        "gate: {asked_for} combinations of run and goal, {allowed} allowed"
    ));
    assert!(asked_for >= 100_000 && allowed > 500);
}

#[test]
fn every_contract_is_decided_as_specified() {
    let passed = |parent: Option<u32>, stand| {
        Played::of(Scene {
            stand,
            head: parent.map_or(Head::Unborn, Head::At),
            parent,
            held: Held::Nothing,
            tampered: false,
        })
    };
    let stages = [
        passed(Some(1), Stand::Passed),
        passed(None, Stand::Passed),
        passed(Some(1), Stand::Allowed),
    ];
    let (mut asked_for, mut allowed) = (0_u64, 0_u64);
    for terms in all_terms() {
        for reversible in [false, true] {
            for limit in [Limit::None, Limit::TokensExceeded] {
                for stage in &stages {
                    let asked = Asked {
                        mode: Mode::Commit,
                        verify_of_goal: true,
                        verify_of_task: false,
                        reversible,
                        limit,
                        terms,
                    };
                    let goal = asked.goal(&stage.used);
                    allowed += u64::from(check(stage, &asked, &goal));
                    check_foreseen(stage, &asked, &goal);
                    asked_for += 1;
                }
            }
        }
    }
    tell(&format!(
        "gate: {asked_for} combinations of contracts, {allowed} allowed"
    ));
    assert!(asked_for >= 50_000 && allowed > 100);
}

/// A goal could be committed by if any of its tasks could.
#[test]
fn one_task_that_could_be_committed_is_enough() {
    let check = |change: fn(&mut Goal), expected: bool| {
        let mut goal = goal();
        change(&mut goal);
        assert_eq!(could_commit(&goal, now()), expected);
    };
    check(|_| {}, true);
    check(|goal| goal.mode = Mode::Propose, false);
    check(|goal| goal.contract = None, false);
    check(|goal| goal.verify_cmd = None, false);
    let irreversible = |goal: &mut Goal| goal.tasks.iter_mut().for_each(|task| task.reversible = false);
    check(irreversible, false);
    check(
        |goal| {
            goal.tasks.iter_mut().for_each(|task| task.reversible = false);
            goal.tasks.last_mut().unwrap().reversible = true;
        },
        true,
    );
    check(
        |goal| {
            goal.verify_cmd = None;
            goal.tasks.last_mut().unwrap().verify_cmd = Some(CommandLine::Argv(vec!["v".into()]));
        },
        true,
    );
    check(|goal| goal.tasks.clear(), false);
}

#[test]
fn there_is_no_leave_for_a_task_that_is_not_there() {
    let (goal, state) = (goal(), State::new());
    for denial in [
        decide(&goal, &state, 3, now()).unwrap_err(),
        foresee(&goal, &state, 3, now()).unwrap_err(),
    ] {
        assert_eq!(denial.code, DenialCode::NotVerified);
        assert_eq!(denial.reason, "there is no such task");
    }
}

const PASSED: Scene = Scene {
    stand: Stand::Passed,
    head: Head::At(1),
    parent: Some(1),
    held: Held::Nothing,
    tampered: false,
};

#[track_caller]
fn check_reason(scene: Scene, change: fn(&mut Goal), expected: &str) {
    let stage = Played::of(scene);
    let mut goal = goal();
    change(&mut goal);
    let denial = decide(&goal, &stage.state, TASK, now()).unwrap_err();
    assert_eq!(denial.reason, expected);
}

/// The words in which people are told what is wrong with the work.
#[test]
fn a_denial_says_what_is_wrong_with_the_work() {
    let (check, passed) = (check_reason, PASSED);
    let as_is: fn(&mut Goal) = |_| {};
    check(
        Scene {
            tampered: true,
            ..passed
        },
        as_is,
        "something was changed behind the driver's back, and nobody has looked since",
    );
    check(passed, |goal| goal.mode = Mode::Propose, "the mode is propose");
    check(
        passed,
        |goal| goal.verify_cmd = None,
        "there is no verify_cmd, so nothing can be trusted",
    );
    let stand = |stand| Scene { stand, ..passed };
    check(stand(Stand::Exited), as_is, "it was not verified in this attempt");
    check(stand(Stand::PassedNoTree), as_is, "an LFS filter");
    check(
        stand(Stand::PassedUnread),
        as_is,
        "the change was not read from a git repository",
    );
    let head = |head| Scene { head, ..passed };
    check(
        head(Head::At(2)),
        as_is,
        "HEAD is at 000000010000, but this run left it at 000000020000: somebody else committed",
    );
    check(
        head(Head::Unborn),
        as_is,
        "HEAD is at 000000010000, but this run left it at no commit: somebody else committed",
    );
    check(
        head(Head::Unknown),
        as_is,
        "where HEAD stood when the run began is not known",
    );
    check(
        Scene {
            held: Held::Another,
            ..passed
        },
        as_is,
        "`t0` was left for review, and the tree is not clean since: commit or discard what is there, and start again",
    );
}

/// The words in which people are told what the contract or the budget does not allow.
#[test]
fn a_denial_says_what_is_not_allowed() {
    let (check, passed) = (check_reason, PASSED);
    check(
        passed,
        |goal| goal.contract = None,
        "there is no contract, so nothing may be committed",
    );
    check(
        passed,
        |goal| goal.contract = Some(Contract::default()),
        "the contract's autonomy_ceiling is 0: propose only",
    );
    let last = |goal: &mut Goal| goal.tasks.get_mut(TASK).unwrap().reversible = false;
    check(
        passed,
        last,
        "the task is not marked reversible, the contract has no irreversible_min_trust, and no approval of a person stands",
    );
    check(
        Scene {
            parent: None,
            head: Head::Unborn,
            ..passed
        },
        |goal| goal.contract.as_mut().unwrap().irreversible_min_trust = Some(4),
        "there is no commit to go back to, so it cannot be undone: that needs an autonomy_ceiling of 4, and it is 1, and no approval of a person stands",
    );
    check(
        passed,
        |goal| goal.budget.tokens_max = Some(99),
        "max_tokens reached: 100 tokens used, 99 tokens allowed",
    );
    check(
        passed,
        |goal| goal.contract.as_mut().unwrap().ratified_by = None,
        "the contract is not ratified: `ratified_by` is missing",
    );
}

/// The record that a denial becomes.
#[test]
fn a_person_is_asked_where_a_person_could_allow_it() {
    let attempt = AttemptRef {
        task: id(TASK),
        attempt: 1,
        session: None,
        idempotency_key: digest(1),
        autonomy_used: 0,
    };
    for at_mutation in [false, true] {
        let denial = |code| {
            let reason = "why".to_owned();
            gate::Denial { code, reason }.event(attempt.clone(), at_mutation)
        };
        match denial(DenialCode::Irreversible) {
            Event::GateEscalated(said, escalated) => {
                assert_eq!((said, escalated.at_mutation), (attempt.clone(), at_mutation));
                assert_eq!(
                    (escalated.code, escalated.reason.as_str()),
                    (DenialCode::Irreversible, "why")
                );
            }
            other => panic!("{other:?}"),
        }
        match denial(DenialCode::Ceiling) {
            Event::GateDenied(said, denied) => {
                assert_eq!((said, denied.at_mutation), (attempt.clone(), at_mutation));
                assert_eq!(
                    (denied.code, denied.reason.as_str()),
                    (DenialCode::Ceiling, "why")
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

fn order(task: TaskId, tree: u32, contract: u8) -> CommitOrder {
    CommitOrder {
        task,
        idempotency_key: digest(5),
        contract: digest(contract),
        record: digest(6),
        at: now(),
        change: change(Some(object(1)), tree, 1),
        left_over: Vec::new(),
    }
}

#[test]
fn a_permit_is_for_one_task_one_tree_and_one_contract() {
    let stage = Played::of(PASSED);
    let permit = decide(&goal(), &stage.state, TASK, now()).unwrap();
    assert!(permit.covers(&order(id(TASK), TREE, 201)));
    assert!(!permit.covers(&order(id(OTHER), TREE, 201)));
    assert!(!permit.covers(&order(id(TASK), TREE + 1, 201)));
    assert!(!permit.covers(&order(id(TASK), TREE, 202)));
}

#[test]
fn a_message_is_made_of_ids_alone() {
    let plain = order(id(TASK), TREE, 201);
    let hex = |n: &str| n.repeat(32);
    let trailers = format!(
        "Machine-Driver-Task: t1\nMachine-Driver-Key: {}\nMachine-Driver-Contract: {}\nMachine-Driver-Record: {}\n",
        hex("05"),
        hex("c9"),
        hex("06")
    );
    assert_eq!(plain.message(), format!("driver: t1\n\n{trailers}"));
    let left_over = vec![id(0), id(2)];
    let more = CommitOrder { left_over, ..plain };
    assert_eq!(
        more.message(),
        format!(
            "driver: t1\n\nThe tree that was verified also holds what was left by tasks that were given up:\n\
             t0\nt2\n\n{trailers}"
        )
    );
}
