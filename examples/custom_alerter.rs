//! An alerter of one's own: appends each alert to alerts/today.jsonl, and is asked again where it could not.
//!
//! `cargo run -p machine-driver-examples --example custom_alerter -- goal.json`
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::path::{Path, PathBuf};
use std::{error::Error, fs, io::Write as _};

use machine_driver::alert::{Alert, AlertError, Alerter};
use machine_driver::state::canonical::canonical_json;
use machine_driver::{Driver, Notice};

/// Appends alerts to this file. One may come twice: whoever reads it drops an id that it has already.
#[derive(Debug)]
struct Pager(PathBuf);

impl Alerter for Pager {
    fn name(&self) -> &str {
        "pager"
    }

    fn send(&self, alert: &Alert) -> Result<(), AlertError> {
        let json = canonical_json(alert).map_err(|error| AlertError::permanent(error.to_string()))?;
        let file = fs::File::options().append(true).create(true).open(&self.0);
        let written = file.and_then(|mut file| file.write_all(&[&json[..], b"\n"].concat()));
        written.map_err(|error| AlertError::temporary(format!("cannot append: {error}")))
    }
}

/// Drives a goal with alerts to `file`. Its folder is made when an alert has failed: the next attempt arrives.
fn drive(goal: &Path, file: PathBuf) -> Result<(), Box<dyn Error>> {
    let folder = file.parent().map(Path::to_owned).unwrap_or_default();
    let builder = Driver::builder(goal).on_notice(move |notice| match notice {
        Notice::AlertFailing { error, next_in, .. } => {
            println!("{error}; again in {next_in:?}: {:?}", fs::create_dir_all(&folder));
        }
        Notice::Recorded { record, .. } => println!("{}", record.event.name()),
        _ => (),
    });
    builder.alerter(Pager(file)).build()?.run()?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let goal = PathBuf::from(std::env::args().nth(1).ok_or("name a goal.json")?);
    drive(&goal, goal.with_file_name("alerts").join("today.jsonl"))
}

#[test]
fn the_second_attempt_arrives() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("desk"))?;
    let [goal, file] = ["goal.json", "alerts/today.jsonl"].map(|name| folder.path().join(name));
    let text = r#"{"repo": "desk", "worker_cmd": "true", "verify_cmd": "false", "max_attempts": 1,
        "tasks": [{"id": "t1", "goal": "what never passes"}]}"#;
    fs::write(&goal, text)?;
    drive(&goal, file.clone())?;
    assert!(fs::read_to_string(file)?.contains(r#""kind":"quarantine""#));
    Ok(())
}
