//! What must happen before anything else in a program.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::guardian;

static INITIALISED: AtomicBool = AtomicBool::new(false);

/// Call this first in `main`.
///
/// If this process is the guardian of another, it does that work and never returns. Otherwise it
/// closes the descriptors above 2 that the process inherited by accident: they would be open in
/// every job, and a job that outlives its driver would hold them. So nothing may have been opened
/// before the call.
///
/// Without it [`Runner::guarded`](crate::Runner::guarded) fails and
/// [`Runner::local`](crate::Runner::local) remains.
pub fn init() {
    let mut arguments = std::env::args_os().skip(1);
    // Behind it stands whose guardian this is, for those who look for it.
    if arguments.next().is_some_and(|first| first == guardian::ARGUMENT) && arguments.nth(1).is_none() {
        close_strays();
        #[expect(clippy::exit, reason = "a guardian must not return into the program's main")]
        std::process::exit(guardian::serve());
    }
    close_strays();
    INITIALISED.store(true, Ordering::Release);
}

pub(crate) fn is_initialised() -> bool {
    INITIALISED.load(Ordering::Acquire)
}

fn close_strays() {
    // /dev/fd is /proc/self/fd on Linux.
    let Ok(folder) = std::fs::read_dir("/dev/fd") else {
        return;
    };
    let open: Vec<i32> = folder
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for fd in open.into_iter().filter(|&fd| fd > 2) {
        // Among them is the descriptor that the folder was read with, closed since.
        let _ = nix::unistd::close(fd);
    }
}
