//! The last layer: what a driver and its guardian left running when both were killed.

use std::collections::BTreeSet;

use crate::error::ProcessError;
use crate::job::{SESSION_VARIABLE, Started};
use crate::proc::{self, Process};
use crate::tree;

/// Ends what earlier runs left running, and returns how many processes that were.
///
/// Found are processes whose environment has [`SESSION_VARIABLE`] with one of `sessions` as its
/// value, the groups in `started` whose leader still is the recorded process (start time and boot id
/// compared), and all descendants of these. Never touched are this process and its ancestors.
///
/// What a job started with another environment (`env -i`) and moved to another session is not found
/// here; the guardian, while it lives, finds that too. Without `/proc` (macOS) nothing is found.
///
/// # Errors
/// [`ProcessError::System`] if `/proc` cannot be read, [`ProcessError::Survivors`] if some of them
/// do not go away.
pub fn sweep_orphans(sessions: &[String], started: &[Started]) -> Result<u32, ProcessError> {
    let marks: Vec<Vec<u8>> = sessions
        .iter()
        .filter(|session| !session.is_empty())
        .map(|session| format!("{SESSION_VARIABLE}={session}").into_bytes())
        .collect();
    let find = |table: &[Process]| {
        let spared = ancestry(table);
        let groups = recorded_groups(table, started);
        let mut found = proc::subtree(table, |p| {
            !p.dead
                && !spared.contains(&p.id())
                && (groups.contains(&p.group) || marks.iter().any(|mark| p.has_variable(mark)))
        });
        found.retain(|p| !p.dead && !spared.contains(&p.id()));
        found
    };
    tree::end_found(find, |_| ())
}

/// This process and all above it.
fn ancestry(table: &[Process]) -> BTreeSet<i32> {
    let mut spared = BTreeSet::new();
    let mut next = Some(rustix::process::getpid().as_raw_nonzero().get());
    while let Some(id) = next {
        next = table
            .iter()
            .find(|p| p.id() == id)
            .map(|p| p.parent)
            .filter(|parent| !spared.contains(parent));
        spared.insert(id);
    }
    spared
}

/// The groups whose recorded leader is the same process today.
fn recorded_groups(table: &[Process], started: &[Started]) -> BTreeSet<i32> {
    let current = started
        .iter()
        .filter(|s| !s.boot_id.is_empty() && s.boot_id == proc::boot_id());
    current
        .filter(|s| {
            table.iter().any(|p| {
                p.id().unsigned_abs() == s.pid
                    && p.start_time == s.start_time
                    && p.group.unsigned_abs() == s.pgid
            })
        })
        .map(|s| s.pgid.cast_signed())
        .collect()
}
