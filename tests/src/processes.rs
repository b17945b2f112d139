//! Looking for processes that should be gone.

use std::fs;

/// Process ids of all that carry one of these sessions in their environment; none where there is no `/proc`.
///
/// # Panics
/// Never where `/proc` is there.
#[must_use]
pub fn session_processes(sessions: &[String]) -> Vec<u32> {
    let marks: Vec<String> = sessions
        .iter()
        .map(|session| format!("MACHINE_SESSION={session}"))
        .collect();
    let is_marked = |id: &u32| {
        let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|one| marks.iter().any(|mark| mark.as_bytes() == one))
    };
    let ids = fs::read_dir("/proc").into_iter().flatten();
    let ids = ids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter(is_marked).filter(|id| is_alive(*id)).collect()
}

/// Whether a process runs. A zombie does not.
#[must_use]
pub fn is_alive(id: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{id}/stat")) else {
        return false;
    };
    // The name before the state stands in brackets and may hold anything.
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.trim_start().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}
