//! A verifier of one's own, without any process: reads what the worker left, and tells the next one what is missing.
//!
//! `cargo run -p machine-driver-examples --example custom_verifier -- goal.json`
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::time::Instant;
use std::{error::Error, fs, io::ErrorKind};

use machine_driver::Driver;
use machine_driver::state::{control::Control, id::ActorId};
use machine_driver::verify::{Verdict, Verifier, VerifyError, VerifyOrder};

/// Passes a task when the file of its name leaves nothing to do.
#[derive(Debug)]
struct Editor(ActorId);

impl Verifier for Editor {
    fn id(&self) -> &ActorId {
        &self.0
    }

    fn verify(&self, order: &VerifyOrder, _: &Control<'_>) -> Result<Verdict, VerifyError> {
        let started = Instant::now();
        let text = fs::read_to_string(order.repo.join(order.task.as_str()));
        let took = started.elapsed();
        Ok(match text {
            Ok(text) if !text.contains("TODO") => Verdict::passed(took),
            Ok(_) => Verdict::failed("unfinished", b"Finish it.", took), // the next worker reads it
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Verdict::failed("no file", b"Write the file.", took)
            }
            Err(error) => Verdict::unavailable(error.to_string(), took), // not the worker's fault
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let goal = std::env::args().nth(1).ok_or("name a goal.json")?;
    let editor = Editor(ActorId::new("editor")?);
    let summary = Driver::builder(goal).verifier(editor).build()?.run()?;
    println!("{} done, {} blocked", summary.done, summary.blocked);
    Ok(())
}

#[test]
fn the_second_worker_heeds_the_editor() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    fs::create_dir_all(folder.path().join("desk/b"))?; // a folder: no text that could be judged
    let goal = folder.path().join("goal.json");
    let text = r#"{"repo": "desk", "tick_seconds": 0, "verify_cmd": "-",
        "worker_cmd": "test -d $MACHINE_TASK_ID || echo ${MACHINE_FEEDBACK:-TODO} > $MACHINE_TASK_ID",
        "tasks": [{"id": "a", "goal": "write"}, {"id": "b", "goal": "write"}]}"#;
    fs::write(&goal, text)?;
    let editor = Editor(ActorId::new("editor")?);
    let summary = Driver::builder(&goal).verifier(editor).build()?.run()?;
    assert_eq!((summary.done, summary.blocked, summary.worker_runs), (1, 1, 3));
    Ok(())
}
