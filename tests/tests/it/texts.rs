//! Snapshots of the texts that people read. `INSTA_UPDATE=always cargo test -p machine-driver-tests texts` writes them anew.

use std::fs;

use machine_driver_tests::{Ended, Place, binary};
use serde_json::json;

fn calculator() -> Place {
    Place::new(&json!({
        "goal": "calculator: make it right", "mode": "commit", "max_attempts": 2,
        "worker_cmd": "cp {feedback_file} heard.txt; touch {task_id}",
        "verify_cmd": "echo \"2 + 2 = 5 in $MACHINE_TASK_ID\"; case $MACHINE_TASK_ID in sum) test -s heard.txt ;; root) exit 1 ;; esac",
        "budget": { "max_worker_runs": 20 },
        "contract": { "definition_of_done": "2 + 2 = 4", "proposed_by": "Ann", "ratified_by": "ann" },
        "tasks": [
            { "id": "menu", "goal": "Show a menu" }, { "id": "sum", "goal": "Add two numbers" },
            { "id": "root", "goal": "Take the root of -1" }, { "id": "plot", "goal": "Plot the roots", "after": ["root"] },
        ],
    }))
}

/// Both streams with what differs from run to run replaced.
fn shown(place: &Place, ended: &Ended) -> String {
    let part = |name: &str, text: &str| {
        if text.is_empty() {
            String::new()
        } else {
            format!("--- {name}\n{}", normal(place, text))
        }
    };
    format!(
        "{}{}--- exit {}\n",
        part("stdout", &ended.out()),
        part("stderr", &ended.err()),
        ended.code
    )
}

fn normal(place: &Place, text: &str) -> String {
    let text = text.replace(binary().to_str().unwrap(), "machine-driver");
    let real = place.folder().canonicalize().unwrap();
    let text = text
        .replace(real.to_str().unwrap(), "[FOLDER]")
        .replace(place.folder().to_str().unwrap(), "[FOLDER]");
    let lines = text
        .lines()
        .map(|line| replaced(line).trim_end().to_owned() + "\n");
    lines.collect()
}

/// Times, spans, digests and process ids give way to their names; so does what a shell says in its own words.
fn replaced(line: &str) -> String {
    if let Some((said, _)) = line.split_once(", got './calc.sh") {
        return format!("{said}, got [WORDS OF THE SHELL]");
    }
    let words: Vec<&str> = line.split(' ').collect();
    let mut out: Vec<String> = Vec::new();
    let mut index = 0;
    while index < words.len() {
        let (word, next) = (words[index], words.get(index + 1).copied().unwrap_or_default());
        let bare = word
            .trim_end_matches([',', ':', ';', ')', '.'])
            .trim_start_matches('(');
        let unit = next.trim_end_matches([',', ':', ';', ')', '.']);
        let is_number = !bare.is_empty() && bare.chars().all(|c| c.is_ascii_digit() || c == '.');
        if is_number && matches!(unit, "ms" | "s") {
            out.push(word.replace(bare, "[SPAN]") + &next[unit.len()..]);
            index += 1;
        } else if is_date(bare) && is_time(unit) {
            out.push("[DATE] [TIME]".to_owned() + &next[unit.len()..]);
            index += 1;
        } else if bare.len() == 64 && bare.chars().all(|c| c.is_ascii_hexdigit()) {
            out.push(word.replace(bare, "[DIGEST]"));
        } else if let Some(key) = VARIES.iter().find(|key| word.starts_with(&format!("{key}="))) {
            out.push(format!("{key}=[…]"));
        } else if word.starts_with('/') && word.ends_with("/sh") {
            out.push("[SH]".to_owned());
        } else if is_time(bare) {
            out.push(word.replace(bare, "[TIME]"));
        } else {
            out.push(word.to_owned());
        }
        index += 1;
    }
    out.join(" ")
}

/// Fields of a record that differ from run to run.
const VARIES: [&str; 6] = ["pid", "pgid", "start_time", "boot_id", "wall_ms", "id"];

fn is_date(word: &str) -> bool {
    word.len() == 10 && word.chars().all(|c| c.is_ascii_digit() || c == '-')
}

fn is_time(word: &str) -> bool {
    word.len() >= 8
        && word.matches(':').count() == 2
        && word.chars().all(|c| c.is_ascii_digit() || ":.Z-T".contains(c))
}

#[test]
fn a_goal_from_check_to_the_log() {
    let place = calculator();
    insta::assert_snapshot!("check", shown(&place, &place.run(["check"])));
    insta::assert_snapshot!("status_before", shown(&place, &place.run(["status"])));
    insta::assert_snapshot!("run", shown(&place, &place.run(["run"])));
    insta::assert_snapshot!("status_after", shown(&place, &place.run(["status"])));
    insta::assert_snapshot!("run_again", shown(&place, &place.run(["run"])));
    insta::assert_snapshot!("retry", shown(&place, &place.run(["retry", "root"])));
    insta::assert_snapshot!("log_show", shown(&place, &place.run(["log", "show"])));
    insta::assert_snapshot!("log_verify", shown(&place, &place.run(["log", "verify"])));
    insta::assert_snapshot!("replay", shown(&place, &place.run(["replay"])));
}

#[test]
fn refusals() {
    let place = calculator();
    let mut goal = place.json();
    goal["budget"] = json!({ "max_wall_second": 0 });
    goal["tasks"][1]["id"] = json!("../menu");
    goal["isolation"] = json!("checkout");
    fs::write(place.goal(), serde_json::to_string_pretty(&goal).unwrap()).unwrap();
    insta::assert_snapshot!("refused", shown(&place, &place.run(["run"])));
    insta::assert_snapshot!("no_goal", shown(&place, &place.run(["run", "nowhere.json"])));
    insta::assert_snapshot!("usage", shown(&place, &place.run(["rnu"])));
}

#[test]
fn a_budget_halt() {
    let place = calculator();
    let mut goal = place.json();
    goal["budget"] = json!({ "max_worker_runs": 1 });
    fs::write(place.goal(), goal.to_string()).unwrap();
    insta::assert_snapshot!("budget_halt", shown(&place, &place.run(["run"])));
}

#[test]
fn help() {
    let place = Place::bare();
    insta::assert_snapshot!("help", shown(&place, &place.run(["--help"])));
    insta::assert_snapshot!("help_run", shown(&place, &place.run(["run", "--help"])));
}

#[test]
fn a_demo() {
    let place = Place::bare();
    insta::assert_snapshot!("demo", shown(&place, &place.run(["demo", "--dir", "there"])));
}
