//! Reading `tasks`: each by itself, then what holds between them.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::Task;
use super::contract::{read_path_rules, read_scope};
use super::error::shown;
use super::keys;
use super::node::{Fields, Node};
use super::progress::{TaskProgress, read_task};
use super::read::{Wanted, read_command};
use super::report::{Report, nearest};
use crate::canonical::digest_of;
use crate::id::TaskId;

/// A cycle through more tasks than this is told by its first ones.
const CYCLE_SHOWN: usize = 8;

/// Reads the tasks of the goal with this name, in the file's order.
pub(super) fn read_tasks(
    goal: &str,
    node: &Node<'_, '_>,
    report: &mut Report,
) -> Option<Vec<(Task, TaskProgress)>> {
    let items = node.items(report)?;
    if items.len() == 0 {
        let help = "add a task, for example with `machine-driver task add`".to_owned();
        node.wrong(report, "there is no task", Some(help));
    }
    // Whatever is wrong in one task, its id still counts for the others.
    let ids: Vec<Option<TaskId>> = node.items(report)?.map(|item| id_of(item)).collect();
    let by_id = index(&ids);
    let mut tasks = Vec::with_capacity(items.len());
    for (position, item) in items.enumerate() {
        tasks.extend(read_one(goal, position, item, &by_id, report));
    }
    if report.is_empty() {
        check_cycles(node, &tasks, report);
    }
    Some(tasks)
}

/// The position of the first task with each id.
fn index(ids: &[Option<TaskId>]) -> HashMap<&str, usize> {
    let mut by_id = HashMap::with_capacity(ids.len());
    for (position, id) in ids.iter().enumerate() {
        if let Some(id) = id {
            by_id.entry(id.as_str()).or_insert(position);
        }
    }
    by_id
}

fn id_of(item: Node<'_, '_>) -> Option<TaskId> {
    let mut unheard = Report::default();
    let id = item.member("id")?.text(&mut unheard).map(TaskId::new);
    id?.ok()
}

fn read_one(
    goal: &str,
    position: usize,
    item: Node<'_, '_>,
    by_id: &HashMap<&str, usize>,
    report: &mut Report,
) -> Option<(Task, TaskProgress)> {
    let fields = item.fields(&keys::TASK, report)?;
    let progress = read_task(&fields, report);
    let id = read_id(&fields, position, by_id, report);
    let text = fields
        .required("goal", report)
        .and_then(|node| node.words(report));
    let reversible = fields
        .present("reversible")
        .is_some_and(|node| node.flag(report) == Some(true));
    let after = fields
        .optional("after")
        .map(|node| read_after(&node, by_id, report))
        .unwrap_or_default();
    let mut command = |name, wanted| {
        fields
            .optional(name)
            .and_then(|node| read_command(&node, wanted, report))
    };
    let worker_cmd = command("worker_cmd", Wanted::Always);
    let verify_cmd = command("verify_cmd", Wanted::UnlessBlank);
    let max_attempts = fields
        .present("max_attempts")
        .and_then(|node| node.whole(1..=100, report));
    let worker_timeout = fields.present("worker_timeout_seconds").and_then(|node| {
        if node.is_null() {
            Some(None)
        } else {
            node.seconds(Duration::from_millis(1), report).map(Some)
        }
    });
    let (id, text) = (id?, text?);
    let key = digest_of(&[goal, id.as_str(), text]);
    let idempotency_key = key
        .map_err(|error| item.wrong(report, error.to_string(), None))
        .ok()?;
    let task = Task {
        id,
        goal: text.to_owned(),
        reversible,
        after,
        worker_cmd,
        verify_cmd,
        max_attempts: max_attempts.and_then(|count| u32::try_from(count).ok()),
        worker_timeout,
        scope: read_scope(&fields, report),
        immutable: read_path_rules(&fields, report),
        idempotency_key,
    };
    Some((task, progress))
}

fn read_id(
    fields: &Fields<'_, '_>,
    position: usize,
    by_id: &HashMap<&str, usize>,
    report: &mut Report,
) -> Option<TaskId> {
    let node = fields.required("id", report)?;
    let text = node.raw_text(report)?;
    let id = TaskId::new(text)
        .map_err(|error| node.wrong(report, format!("`{}`: {error}", shown(text)), None))
        .ok()?;
    match by_id.get(text) {
        Some(first) if *first != position => {
            node.wrong(
                report,
                format!("the id `{id}` is that of tasks[{first}] already"),
                None,
            );
            None
        }
        _ => Some(id),
    }
}

/// The positions of the tasks that are named, each once.
fn read_after(node: &Node<'_, '_>, by_id: &HashMap<&str, usize>, report: &mut Report) -> Vec<usize> {
    let mut after = Vec::new();
    let mut seen = HashSet::new();
    for item in node.items(report).into_iter().flatten() {
        let Some(id) = item.raw_text(report) else { continue };
        match by_id.get(id) {
            Some(position) if !seen.insert(*position) => {}
            Some(position) => after.push(*position),
            None => unknown_id(&item, id, by_id, report),
        }
    }
    after
}

fn unknown_id(item: &Node<'_, '_>, id: &str, by_id: &HashMap<&str, usize>, report: &mut Report) {
    let ids = || {
        // In the file's order, so that the same file always gets the same answer.
        let mut ids: Vec<(usize, &str)> = by_id.iter().map(|(id, position)| (*position, *id)).collect();
        ids.sort_unstable();
        nearest(id, ids.into_iter().map(|(_, id)| id)).map(|near| format!("did you mean `{near}`?"))
    };
    let help = if report.is_full() { None } else { ids() };
    item.wrong(report, format!("there is no task `{}`", shown(id)), help);
}

/// Reports a cycle in `after`. Tasks whose predecessors are all ordered are ordered one by one (Kahn); of those that
/// remain, following any predecessor that remains ends in a cycle.
fn check_cycles(node: &Node<'_, '_>, tasks: &[(Task, TaskProgress)], report: &mut Report) {
    let mut waiting: Vec<usize> = tasks.iter().map(|(task, _)| task.after.len()).collect();
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); tasks.len()];
    for (position, (task, _)) in tasks.iter().enumerate() {
        for before in &task.after {
            followers
                .get_mut(*before)
                .into_iter()
                .for_each(|list| list.push(position));
        }
    }
    let mut ready: Vec<usize> = (0..tasks.len())
        .filter(|position| waiting.get(*position) == Some(&0))
        .collect();
    while let Some(done) = ready.pop() {
        for follower in followers.get(done).into_iter().flatten() {
            if let Some(count) = waiting.get_mut(*follower) {
                *count -= 1;
                if *count == 0 {
                    ready.push(*follower);
                }
            }
        }
    }
    if let Some(cycle) = find_cycle(tasks, &waiting) {
        report_cycle(node, tasks, &cycle, report);
    }
}

fn find_cycle(tasks: &[(Task, TaskProgress)], waiting: &[usize]) -> Option<Vec<usize>> {
    let is_left = |position: &usize| waiting.get(*position).is_some_and(|count| *count > 0);
    let mut at = (0..tasks.len()).find(is_left)?;
    let mut seen = HashMap::new();
    let mut trail = Vec::new();
    loop {
        if let Some(start) = seen.insert(at, trail.len()) {
            return Some(trail.split_off(start));
        }
        trail.push(at);
        at = tasks.get(at)?.0.after.iter().copied().find(is_left)?;
    }
}

fn report_cycle(node: &Node<'_, '_>, tasks: &[(Task, TaskProgress)], cycle: &[usize], report: &mut Report) {
    let id = |position: &usize| tasks.get(*position).map_or("", |(task, _)| task.id.as_str());
    let mut names: Vec<&str> = cycle.iter().take(CYCLE_SHOWN).map(id).collect();
    if cycle.len() > CYCLE_SHOWN {
        names.push("…");
    }
    names.extend(cycle.first().map(id));
    let Some(item) = cycle.first().and_then(|first| node.items(report)?.nth(*first)) else {
        return;
    };
    let at = item.member("after").unwrap_or(item);
    at.wrong(
        report,
        format!("these tasks wait for each other: {}", names.join(" -> ")),
        None,
    );
}
