//! What was run, how often, and what came of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use machine_driver_tests::{binary, git, repository};
use serde_json::{Value, json};

/// One check: told how often to run, it tells what it ran. It panics where something does not hold.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) run: fn(usize) -> Ran,
}

/// What a check ran.
pub(crate) struct Ran {
    /// In words: what was done to what, and what had to hold.
    pub(crate) what: String,
    /// How often.
    pub(crate) times: usize,
    /// Numbers that were seen on the way.
    pub(crate) seen: String,
    /// Why nothing was run, where nothing was.
    pub(crate) not_run: Option<String>,
}

/// A check's row.
struct Row {
    name: &'static str,
    ran: Result<Ran, String>,
    seconds: f64,
}

/// All rows, and on what they were run.
pub(crate) struct Report {
    rows: Vec<Row>,
    at: String,
    version: String,
    commit: String,
}

impl Report {
    pub(crate) fn of(checks: &[Check], times: usize) -> Self {
        let version = std::process::Command::new(binary())
            .arg("--version")
            .output()
            .unwrap();
        let home = std::env::temp_dir();
        let commit = repository().join(".git").exists().then(|| {
            let changes = git(
                repository(),
                &home,
                &["status", "--porcelain", "--untracked-files=no"],
            );
            let commit = git(repository(), &home, &["rev-parse", "HEAD"]);
            format!(
                "{}{}",
                commit.trim(),
                if changes.is_empty() { "" } else { ", with changes" }
            )
        });
        Self {
            rows: checks.iter().map(|check| row(check, times)).collect(),
            at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            version: String::from_utf8_lossy(&version.stdout).trim().to_owned(),
            commit: commit.unwrap_or_else(|| "not known".into()),
        }
    }

    /// Whether everything that was run holds.
    pub(crate) fn holds(&self) -> bool {
        self.rows.iter().all(|row| row.ran.is_ok())
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "# Chaos report\n\n{}, {}, commit {}, {} {}\n\n\
             | # | check | what was run | times | result | seconds |\n|---|---|---|---|---|---|\n",
            self.at,
            self.version,
            self.commit,
            std::env::consts::OS,
            std::env::consts::ARCH
        );
        for (number, row) in self.rows.iter().enumerate() {
            let (what, times, result) = match &row.ran {
                Ok(Ran {
                    not_run: Some(why), ..
                }) => ("nothing".to_owned(), 0, format!("NOT RUN: {why}")),
                Ok(ran) => (ran.what.clone(), ran.times, format!("holds; {}", ran.seen)),
                Err(why) => ("until it broke".to_owned(), 0, format!("BROKEN: {}", cell(why))),
            };
            text.push_str(&format!(
                "| {} | {} | {what} | {times} | {result} | {:.1} |\n",
                number + 1,
                row.name,
                row.seconds
            ));
        }
        text
    }

    pub(crate) fn json(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
        json!({
            "type": "chaos_report", "at": self.at, "version": self.version, "commit": self.commit,
            "os": std::env::consts::OS, "arch": std::env::consts::ARCH, "holds": self.holds(), "checks": rows,
        })
    }
}

impl Row {
    fn json(&self) -> Value {
        let (result, what, times, seen) = match &self.ran {
            Ok(Ran {
                not_run: Some(why), ..
            }) => ("not_run", "", 0, why.as_str()),
            Ok(ran) => ("holds", ran.what.as_str(), ran.times, ran.seen.as_str()),
            Err(why) => ("broken", "", 0, why.as_str()),
        };
        json!({ "check": self.name, "result": result, "what": what, "times": times, "seen": seen, "seconds": self.seconds })
    }
}

fn row(check: &Check, times: usize) -> Row {
    let begun = Instant::now();
    let ran = catch_unwind(AssertUnwindSafe(|| (check.run)(times))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap_or_else(|| "it panicked".into())
    });
    Row {
        name: check.name,
        ran,
        seconds: (begun.elapsed().as_secs_f64() * 10.0).round() / 10.0,
    }
}

/// Text within one cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "/")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
