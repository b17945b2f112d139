//! What is to happen in the demo, and whether it did.

use machine_driver::Exit;
use machine_driver::look::Look;
use machine_driver_state::event::Cause;
use machine_driver_state::goal::Status;
use machine_driver_state::id::TaskId;

use super::Way;

/// A task and its fate.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) id: &'static str,
    pub(super) goal: &'static str,
    pub(super) after: &'static [&'static str],
    /// Where commits are asked for: whether the task is marked so, and so may be committed.
    pub(super) reversible: bool,
    status: Status,
    attempts: u32,
    pub(super) story: &'static str,
}

impl Planned {
    /// Whether it ends in a commit, where commits are asked for.
    pub(super) fn is_committed(&self) -> bool {
        self.reversible && self.status == Status::Done
    }
}

/// In the order of goal.json.
pub(super) fn tasks(way: Way) -> impl Iterator<Item = &'static Planned> {
    let [add, average, divide, root] = &TASKS;
    let release = (way == Way::Commit).then_some(&RELEASE);
    [add, average, divide].into_iter().chain(release).chain([root])
}

/// The tasks in the order in which they are done.
pub(super) const ORDER: [&str; 5] = ["add", "divide", "average", "release", "root"];

/// Only where commits are asked for: there it shows that not everything that passes is committed.
const RELEASE: Planned = Planned {
    id: "release",
    goal: "`calc.sh release` should print 1.0",
    after: &[],
    reversible: false,
    status: Status::Done,
    attempts: 1,
    story: "passed, but nobody marked it as reversible: left for review, as a release should be",
};

const TASKS: [Planned; 4] = [
    Planned {
        id: "add",
        goal: "`calc.sh add 2 3` should print 5",
        after: &[],
        reversible: true,
        status: Status::Done,
        attempts: 1,
        story: "passed at once: the worker changed a file, the tests agreed",
    },
    Planned {
        id: "average",
        goal: "`calc.sh average 3 5` should print 4; build it on add and divide",
        after: &["add", "divide"],
        reversible: true,
        status: Status::Done,
        attempts: 1,
        story: "stands second in goal.json, but waited until add and divide were done",
    },
    Planned {
        id: "divide",
        goal: "`calc.sh divide 6 2` should print 3, and dividing by zero should say so",
        after: &[],
        reversible: true,
        status: Status::Done,
        attempts: 2,
        story: "failed its tests once; a fresh worker got to read what they said, and passed",
    },
    Planned {
        id: "root",
        goal: "`calc.sh root 2` should print a whole number whose square is 2",
        after: &[],
        reversible: true,
        status: Status::Blocked,
        attempts: 2,
        story: "cannot be done; the worker said it was, the tests did not believe it: quarantined",
    },
];

/// What differs from the plan, in a line each.
pub(super) fn compare(seen: &Look, exit: Exit, way: Way) -> Vec<String> {
    let mut differences = Vec::new();
    if exit != Exit::Blocked {
        differences.push(format!(
            "the run ended with {} ({}), not {}",
            exit.code(),
            exit.meaning(),
            Exit::Blocked.code()
        ));
    }
    for planned in tasks(way) {
        differences.extend(difference(seen, planned));
        differences.extend(commit_difference(seen, planned, way));
    }
    let done = |id: &str| Some(seen.state.task(&TaskId::new(id).ok()?)?.done);
    let begun = TaskId::new("average")
        .ok()
        .and_then(|id| seen.state.task(&id)?.started);
    if done("divide")
        .flatten()
        .is_none_or(|done| begun.is_none_or(|begun| begun < done))
    {
        differences.push("average did not wait for divide".into());
    }
    differences
}

fn difference(seen: &Look, planned: &Planned) -> Option<String> {
    let id = TaskId::new(planned.id).ok()?;
    let status = seen.state.status(&id);
    let known = seen.state.task(&id).cloned().unwrap_or_default();
    let is_cause_right = known.cause.is_none_or(|cause| cause == Cause::Failed);
    if (status, known.attempts) == (planned.status, planned.attempts) && is_cause_right {
        return None;
    }
    let why = known.reason.or(known.verify_tail).unwrap_or_default();
    let (attempts, wanted) = (known.attempts, planned.attempts);
    Some(format!(
        "{id} is {status:?} after {attempts} attempts, not {:?} after {wanted}: {why}",
        planned.status
    ))
}

fn commit_difference(seen: &Look, planned: &Planned, way: Way) -> Option<String> {
    let id = TaskId::new(planned.id).ok()?;
    let is_committed = seen.state.task(&id).is_some_and(|known| known.commit.is_some());
    let wanted = way == Way::Commit && planned.is_committed();
    match (is_committed, wanted) {
        (true, false) => Some(format!("{id} was committed")),
        (false, true) => Some(format!("{id} was not committed")),
        _ => None,
    }
}
