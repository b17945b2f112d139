//! A committer of one's own, around the driver's: keeps each commit's id beside goal.json, in a file for each key.
//!
//! `cargo run -p machine-driver-examples --example custom_committer -- goal.json`
use std::{error::Error, fs, path::Path, path::PathBuf, sync::Arc};

use machine_driver::governor::{CommitError, CommitOrder, Committed, Committer, Permit};
use machine_driver::state::{change::Change, change::ObjectId, control::Control};
use machine_driver::{Clock as _, Driver, Summary, SystemClock, default_ports, read_goal};

/// Commits by git, and notes it beside this goal.json: also what a driver had made, but not noted, when it was killed.
#[derive(Debug)]
struct Noted(Arc<dyn Committer>, PathBuf);

impl Committer for Noted {
    fn read_change(&self, control: &Control<'_>) -> Result<Change, CommitError> {
        self.0.read_change(control)
    }

    fn made(&self, order: &CommitOrder) -> Result<Option<ObjectId>, CommitError> {
        Ok(self.0.made(order)?.inspect(|id| drop(note(&self.1, order, id))))
    }

    fn commit(&self, order: &CommitOrder, permit: Permit) -> Result<Committed, CommitError> {
        let mut made = self.0.commit(order, permit)?;
        made.note = note(&self.1, order, &made.id).or(made.note);
        Ok(made)
    }
}

fn note(goal: &Path, order: &CommitOrder, id: &ObjectId) -> Option<String> {
    let file = goal.with_file_name(order.idempotency_key.to_string());
    let written = fs::write(file, id.as_str()); // twice is as good as once
    Some(format!("the commit was not noted: {}", written.err()?))
}

fn drive(goal: &Path) -> Result<Summary, Box<dyn Error>> {
    let git = default_ports::committer(&read_goal(goal)?, SystemClock::new().now())?;
    let noted = Noted(git.ok_or("it asks for no commits")?, goal.to_owned());
    Ok(Driver::builder(goal).committer(noted).build()?.run()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    drive(std::env::args().nth(1).ok_or("name a goal.json")?.as_ref()).map(drop)
}

#[test]
fn a_commit_is_noted() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let goal = folder.path().join("goal.json");
    let text = r#"{"repo": "desk", "worker_cmd": "date > now", "verify_cmd": "true", "mode": "commit", "contract":
        {"autonomy_ceiling": 1, "irreversible_min_trust": 1, "proposed_by": "you", "ratified_by": "me"},
        "tasks": [{"id": "a", "goal": "write"}]}"#;
    fs::write(&goal, text)?;
    let git = "git init -q desk && cd desk && git config user.name me && git config user.email me@localhost";
    let mut sh = std::process::Command::new("sh");
    sh.args(["-c", git]).current_dir(&folder).status()?;
    let key = read_goal(&goal)?.goal().tasks[0].idempotency_key.to_string();
    assert_eq!((drive(&goal)?.done, goal.with_file_name(key).exists()), (1, true));
    Ok(())
}
