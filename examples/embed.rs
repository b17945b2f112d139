//! An orchestrator of one's own: drives a goal, hears what happens, stops it when it likes, and looks at it afterwards.
//!
//! `cargo run -p machine-driver-examples --example embed -- goal.json` (once more, and it goes on)
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::sync::mpsc;
use std::thread;

use machine_driver::state::control::Cut;
use machine_driver::state::event::Event;
use machine_driver::{Builder, Driver, Notice, Stop, Summary, look};

/// Drives a goal, but no further than to the first task given up: a person shall see that first.
fn drive(builder: Builder) -> Result<Summary, Box<dyn Error>> {
    let stop = Stop::new();
    let switch = stop.clone();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || told.recv().map(|()| switch.ask(Cut::Stop)));
    let builder = builder.stop(&stop).on_notice(move |notice| {
        if let Notice::Recorded { record, .. } = notice {
            println!("{}: {}", record.event.scope(), record.event.name());
            if matches!(record.event, Event::Quarantine(..)) {
                tell.send(()).ok(); // the first is enough: nobody receives another
            }
        }
    });
    Ok(builder.build()?.run()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    machine_driver::init(); // first of all: this process may be the guardian of another
    let goal = std::env::args().nth(1).ok_or("name a goal.json")?;
    let summary = drive(Driver::builder(&goal).guarded())?;
    let ended = summary.exit.meaning();
    println!("{ended}: {} of {} done", summary.done, summary.tasks);
    for (id, task) in look(goal.as_ref())?.state.tasks() {
        println!("{id}: {:?} after {} attempts", task.status, task.attempts);
    }
    std::process::exit(summary.exit.code().into())
}

#[test]
fn a_task_given_up_stops_the_run() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("desk"))?;
    let goal = folder.path().join("goal.json");
    let text = r#"{"repo": "desk", "worker_cmd": "true", "verify_cmd": "false", "max_attempts": 1, "tasks": [
        {"id": "t1", "goal": "x"}, {"id": "t2", "goal": "x", "worker_cmd": "sleep 60"}]}"#;
    std::fs::write(&goal, text)?;
    let summary = drive(Driver::builder(&goal))?;
    assert_eq!(summary.exit, machine_driver::Exit::Halted);
    assert_eq!((summary.blocked, summary.remaining), (1, 1));
    Ok(())
}
