//! What a dead guardian leaves: its descendants become children of the driver, also a subreaper.

use std::collections::BTreeSet;
use std::io;
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::ProcessError;
use crate::proc;
use crate::tree;

/// The guardians of this process that are alive: their trees are not orphans.
static LIVING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

fn living() -> MutexGuard<'static, BTreeSet<u32>> {
    LIVING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Spawns a guardian and makes this process the one that inherits its orphans.
pub(super) fn spawn_guardian(command: &mut Command) -> io::Result<Child> {
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    // Held across the spawn, so that no sweep sees a guardian that is not listed.
    let mut living = living();
    let child = command.spawn()?;
    living.insert(child.id());
    Ok(child)
}

pub(super) fn forget_guardian(child: &Child) {
    living().remove(&child.id());
}

/// Ends all orphans of dead guardians.
///
/// A guardian leads a session of its own, so whatever descends from it is in another session than
/// we are, while the other children of this program (git, say) are in ours, unless they left it,
/// and stay untouched.
pub(super) fn end() -> Result<u32, ProcessError> {
    // Read from the process table like the others', not by getsid(2): in a container that was started
    // from outside, our session has the number 0, which rustix cannot hold.
    let Some(me) = proc::Process::read(rustix::process::getpid()) else {
        return Ok(0); // No process table here, so nothing could be found in it.
    };
    tree::end_found(
        |table| {
            let living = living();
            proc::subtree(table, |p| {
                p.parent == me.id() && p.session != me.session && !living.contains(&p.id().unsigned_abs())
            })
        },
        // Refused for those that are not our children yet; they are picked again.
        |process| {
            tree::bury(process);
        },
    )
}
