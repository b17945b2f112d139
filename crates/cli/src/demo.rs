//! `demo`: a real goal in a throw-away repository, run as `run` does. It needs sh and git, and no network.

mod history;
mod plan;
mod signed;
mod site;

use std::path::{Path, PathBuf};

use machine_driver::alert::Printed;
use machine_driver::look::look;
use machine_driver::{Driver, Exit, proof};
use machine_driver_state::store::Paths;
use serde_json::json;

use crate::app::summary;
use crate::args::DemoArgs;
use crate::error::Failure;
use crate::escape;
use crate::log;
use crate::me::{Me, quoted};
use crate::out::Out;
use crate::run::drive;
use crate::style::{self, paint};
use site::Site;

/// What becomes of what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It is left for review.
    Review,
    /// What the gate allows is committed.
    Commit,
}

/// `demo`
pub(crate) fn demo(args: &DemoArgs, me: &Me, out: &Out) -> Result<Exit, Failure> {
    let way = if args.commit { Way::Commit } else { Way::Review };
    let site = Site::build(args.dir.as_deref(), way, args.signed)?;
    introduce(&site, out);
    // Nothing leaves this machine, whatever way to tell people the environment names.
    let driver = Driver::builder(&site.goal).alerter(Printed::with(|_| Ok(())));
    let summed = drive(driver, &site.goal, out)?;
    if matches!(summed.exit, Exit::Interrupted | Exit::Terminated) {
        out.json(&summary(
            summed.exit,
            json!({"path": site.goal.to_string_lossy()}),
        ));
        out.hint(&format!(
            "everything is saved; go on with `{}`",
            me.on("run", &site.goal)
        ));
        return Ok(summed.exit);
    }
    let differences = differences(&site, summed.exit, me, out)?;
    let exit = if differences.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    };
    let removed = args.remove && exit == Exit::Done && std::fs::remove_dir_all(&site.folder).is_ok();
    conclude(&site, &differences, removed, me, out);
    let path = site.goal.to_string_lossy();
    let fields = json!({"as_planned": exit == Exit::Done, "differences": differences, "path": path, "removed": removed});
    out.json(&summary(exit, fields));
    Ok(exit)
}

fn introduce(site: &Site, out: &Out) {
    out.say(paint(
        style::STRONG,
        format!(
            "A small calculator with failing tests, {} tasks, and a stand-in for a coding agent",
            plan::tasks(site.way).count()
        ),
    ));
    out.say("(a script that puts prepared edits in place; nothing leaves this machine).");
    if site.way == Way::Commit {
        out.say("Work that passes is committed where a contract, ratified by somebody else than its proposer, allows it.");
    }
    if site.signed {
        out.say(
            "What comes of each task is put into a record, signed with a key that was made for this demo.",
        );
    }
    out.say(format!(
        "It all lies in {}\n",
        escape::line(&site.folder.to_string_lossy())
    ));
}

/// What did not go as planned, in a line each.
fn differences(site: &Site, exit: Exit, me: &Me, out: &Out) -> Result<Vec<String>, Failure> {
    out.say("");
    let seen = look(&site.goal)?;
    let mut differences = plan::compare(&seen, exit, site.way);
    differences.extend(history::compare(site, &seen));
    out.say(paint(style::STRONG, "What happened"));
    for planned in plan::tasks(site.way) {
        let is_committed = site.way == Way::Commit && planned.is_committed();
        let end = if is_committed { "; committed" } else { "" };
        out.say(format!("  {:<8} {}{end}", planned.id, planned.story));
    }
    out.say("");
    history::show(site, out);
    for (what, holds) in [
        (log::LOG_HOLDS, proof::verify_log(&site.goal)),
        (log::REPLAY_HOLDS, proof::replay(&site.goal)),
    ] {
        match holds {
            Ok(found) if found.records > 0 => out.say(format!(
                "{}  {}",
                paint(style::GOOD, "ok"),
                log::holds(what, &found)
            )),
            Ok(_) => differences.push("the log has no record".into()),
            Err(error) => differences.push(format!("not true that {what}: {error}")),
        }
    }
    differences.extend(signed::check(site, me, out)?);
    Ok(differences)
}

fn conclude(site: &Site, differences: &[String], removed: bool, me: &Me, out: &Out) {
    if !differences.is_empty() {
        out.say(format!("\n{}", paint(style::BAD, "It did not go as planned:")));
        differences
            .iter()
            .for_each(|line| out.say(format!("  {}", escape::cut(line, 300))));
        out.say(format!(
            "Everything is kept in {}",
            escape::line(&site.folder.to_string_lossy())
        ));
        return;
    }
    out.say(format!("\n{}", paint(style::GOOD, "It went as planned.")));
    if removed {
        out.say("The folder was removed.");
        return;
    }
    out.say(format!("\n{}", paint(style::STRONG, "Try next")));
    for (command, what) in proposals(site, me) {
        out.say(format!("  {command}\n      {what}"));
    }
}

fn proposals(site: &Site, me: &Me) -> Vec<(String, &'static str)> {
    let goal = &site.goal;
    let evidence: PathBuf = Paths::of(goal).evidence;
    let feedback = quoted(&evidence.join("divide").to_string_lossy());
    let mut all = vec![
        (me.on("status", goal), "where each task stands, and what to type"),
        (
            me.on("log show", goal),
            "what was recorded, each line bound to the one before it",
        ),
        (
            format!("ls {feedback}"),
            "what worker and verifier wrote, and what the second attempt was told",
        ),
    ];
    all.extend(match site.way {
        Way::Review => about_review(site, me),
        Way::Commit => about_commits(site, me),
    });
    all.extend(signed::proposals(site, me));
    all.push((
        format!("cd YOUR-REPOSITORY && {}", me.elsewhere("init")),
        "a goal.json for your own: it finds the tests and a coding agent",
    ));
    all
}

fn about_review(site: &Site, me: &Me) -> Vec<(String, &'static str)> {
    let (goal, repo) = (&site.goal, quoted(&site.repo.to_string_lossy()));
    vec![
        (
            format!("git -C {repo} status && git -C {repo} diff"),
            "the change that was left for review",
        ),
        (
            format!("{} && {}", me.on("retry root", goal), me.on("run", goal)),
            "put the impossible task back and run; kill -9 it at any moment, type the second half again",
        ),
        (
            me.elsewhere("demo --commit"),
            "the same, with commits for what a ratified contract allows",
        ),
    ]
}

fn about_commits(site: &Site, me: &Me) -> Vec<(String, &'static str)> {
    let (goal, repo) = (&site.goal, quoted(&site.repo.to_string_lossy()));
    vec![
        (
            format!("git -C {repo} show HEAD"),
            "one task in one commit; its trailers name the contract, and the record of the log that allowed it",
        ),
        (
            format!("git -C {repo} revert --no-edit HEAD"),
            "undo one: that it can be undone so is what `\"reversible\": true` says",
        ),
        (
            format!(
                "${{EDITOR:-vi}} {} && {}",
                quoted(&goal.to_string_lossy()),
                me.on("run", goal)
            ),
            "give release `\"reversible\": true` and `\"status\": \"pending\"`, and it is committed, what root left being \
             named; also make `ratified_by` ada, who proposed the contract, and the commit is denied",
        ),
    ]
}

/// A folder to be made, or an empty one.
fn is_free(folder: &Path) -> bool {
    std::fs::read_dir(folder).map_or(!folder.exists(), |mut inside| inside.next().is_none())
}

#[cfg(test)]
mod tests;
