//! A worker of one's own: any type that implements `Worker` can do the tasks, in this process or in another one.
//!
//! `cargo run -p machine-driver-examples --example custom_worker -- goal.json`
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::fs;
use std::time::Instant;

use machine_driver::Driver;
use machine_driver::state::control::Control;
use machine_driver::state::id::ActorId;
use machine_driver::worker::{WorkError, WorkOrder, WorkReport, Worker};

/// Writes each task's text into a file named after the task.
#[derive(Debug)]
struct Scribe(ActorId);

impl Worker for Scribe {
    fn id(&self) -> &ActorId {
        &self.0
    }

    fn run(&self, order: &WorkOrder, _: &Control) -> Result<WorkReport, WorkError> {
        let started = Instant::now();
        let written = fs::write(order.repo.join(order.task.as_str()), &order.text);
        written.map_err(WorkError::other)?;
        Ok(WorkReport::ok(started.elapsed()))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let goal = std::env::args().nth(1).ok_or("name a goal.json")?;
    let scribe = Scribe(ActorId::new("scribe")?);
    let summary = Driver::builder(goal).worker(scribe).build()?.run()?;
    println!("{} of {} tasks done", summary.done, summary.tasks);
    Ok(())
}

#[test]
fn the_scribe_does_the_task() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("desk"))?;
    let goal = folder.path().join("goal.json");
    let text = r#"{"repo": "desk", "worker_cmd": "-", "verify_cmd": "grep me t1", "tasks": [{"id": "t1", "goal": "write me"}]}"#;
    fs::write(&goal, text)?;
    let summary = Driver::builder(&goal)
        .worker(Scribe(ActorId::new("scribe")?))
        .build()?
        .run()?;
    assert_eq!((summary.done, summary.tasks), (1, 1));
    Ok(())
}
