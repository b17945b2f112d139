//! A worker does what it should not, or hides it, or does honest work: what the audit makes of what the surveyor saw.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "survey/attack.rs"]
mod attack;
#[path = "survey/hidden.rs"]
mod hidden;
#[path = "survey/port.rs"]
mod port;
#[path = "survey/protected.rs"]
mod protected;
#[path = "survey/random.rs"]
mod random;
#[path = "survey/scoped.rs"]
mod scoped;
#[path = "survey/traps.rs"]
mod traps;
#[path = "survey/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use attack::{Attack, Says};
use machine_driver_governor::audit::{self, Findings};
use machine_driver_governor::{CommitError, Surveyor};
use machine_driver_state::control::Control;
use world::{Template, World, audit_since, goal};

/// Most of the time goes into waiting for the disk.
const THREADS: usize = 4;

#[test]
fn the_audit_names_what_a_worker_did_and_nothing_else() {
    let all = [
        scoped::HONEST,
        scoped::PLAIN,
        hidden::HIDDEN,
        traps::TRAPS,
        protected::PROTECTED,
    ]
    .concat();
    run(&all, Template::world);
}

#[test]
fn so_it_does_in_a_folder_without_git() {
    run(protected::PLAIN, Template::plain);
}

fn run(all: &[Attack], world: fn(&Template) -> World) {
    let template = Template::new();
    let (wrong, next) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(attack) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = judge(attack, &world(&template)) {
                        wrong.lock().unwrap().push(format!("{}: {why}", attack.name));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        all.len(),
        wrong.join("\n")
    );
}

fn judge(attack: &Attack, world: &World) -> Result<(), String> {
    let goal = goal(attack.scope, attack.immutable);
    let surveyor = world.surveyor();
    let before = surveyor
        .survey(&audit::protected(&goal), &Control::new())
        .map_err(|error| format!("before the worker: {error:?}"))?;
    if world.try_to(attack.control).status.success() {
        return Err("the control succeeds without the worker".into());
    }
    for (what, script) in [("the worker", attack.script), ("the control", attack.control)] {
        let output = world.try_to(script);
        if !output.status.success() {
            return Err(format!("{what} failed: {output:?}"));
        }
    }
    let audited = audit_since(&surveyor, &goal, &before);
    if world.try_to("test -e \"$OUT/ran\"").status.success() {
        return Err("a program of the worker's ran".into());
    }
    match (attack.says, audited) {
        (Says::Holds, Ok((findings, _))) if findings.holds() => Ok(()),
        (Says::Names(expected), Ok((findings, _))) => {
            let expected: BTreeSet<String> = expected.iter().map(ToString::to_string).collect();
            let named = named(&findings);
            match named == expected && !findings.holds() {
                true => Ok(()),
                false => Err(format!("named {named:?} and not {expected:?}")),
            }
        }
        (Says::Refuses(word), Err(CommitError::Refused { why })) if why.contains(word) => Ok(()),
        (Says::Refuses(word), Err(CommitError::Failed { what, .. }))
            if word.strip_prefix('!').is_some_and(|word| what.contains(word)) =>
        {
            Ok(())
        }
        (_, answer) => Err(format!("answered {answer:?}")),
    }
}

/// What is told of broken rules, a word and a path each.
fn named(findings: &Findings) -> BTreeSet<String> {
    let text = findings.feedback();
    let lines = text.lines().filter_map(|line| line.strip_prefix("  "));
    lines.map(str::to_owned).collect()
}
