//! What git has to show for it, where commits were asked for.

use machine_driver::look::Look;
use machine_driver_state::id::TaskId;

use super::Way;
use super::plan;
use super::site::{FIRST, Site};
use crate::escape;
use crate::git;
use crate::out::Out;
use crate::style::{self, paint};

/// Shows commits, the message of the last one, and what is left in the tree.
pub(super) fn show(site: &Site, out: &Out) {
    if site.way == Way::Review {
        return;
    }
    out.say(paint(style::STRONG, "What git has"));
    for arguments in [
        ["log", "--oneline"].as_slice(),
        &["log", "-1", "--format=%B"],
        &["status", "--short"],
    ] {
        out.say(format!("  $ git {}", arguments.join(" ")));
        let said = git::ask(&site.repo, arguments).unwrap_or_default();
        said.lines()
            .for_each(|line| out.say(format!("  {}", escape::line(line)).trim_end()));
        out.say("");
    }
}

/// What differs from the plan, in a line each: one commit for each task that may be committed, the tasks in their order,
/// the last of them checked out, and nothing else left in the tree than what is told of.
pub(super) fn compare(site: &Site, seen: &Look) -> Vec<String> {
    if site.way == Way::Review {
        return Vec::new();
    }
    let mut committed = plan::ORDER
        .iter()
        .filter(|id| plan::tasks(site.way).any(|planned| planned.id == **id && planned.is_committed()));
    let subjects: Vec<String> = std::iter::once(FIRST.to_owned())
        .chain(committed.clone().map(|id| format!("driver: {id}")))
        .collect();
    let head = committed.next_back().and_then(|id| {
        let known = seen.state.task(&TaskId::new(id).ok()?)?;
        known.commit.as_ref().map(ToString::to_string)
    });
    let differs = |what: &str, arguments: &[&str], wanted: &str| {
        let found = git::ask(&site.repo, arguments).unwrap_or_default();
        (found != wanted).then(|| format!("{what}: `{found}`, not `{wanted}`"))
    };
    [
        differs(
            "the commits are",
            &["log", "--reverse", "--format=%s"],
            &subjects.join("\n"),
        ),
        differs("HEAD is", &["rev-parse", "HEAD"], &head.unwrap_or_default()),
        differs(
            "left in the tree is",
            &["status", "--short"],
            " M lib/root.sh\n?? lib/release.sh",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}
