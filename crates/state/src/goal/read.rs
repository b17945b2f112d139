//! Reading the top level of goal.json.

use std::path::PathBuf;
use std::time::Duration;

use super::alerts::{read_alerts, read_sink};
use super::attest::read_attest;
use super::contract::{read_budget, read_contract};
use super::error::shown;
use super::file::Place;
use super::keys;
use super::node::{Fields, Node};
use super::progress::{self, Progress};
use super::report::{Report, later};
use super::tasks::read_tasks;
use super::{Alerts, Attest, AuditSink, CommandLine, Goal, Mode};
use crate::canonical::digest_of;
use crate::id::Digest;

/// The most bytes that the name of a goal or a deployment may have.
const NAME_MAX: usize = 256;

/// The shortest time limit: what the log can tell apart.
const SHORTEST: Duration = Duration::from_millis(1);

/// How what the operator wrote becomes a path.
#[derive(Clone, Copy)]
pub(super) enum Found<'a> {
    /// From this place.
    At(&'a Place<'a>),
    /// It was found already, and has not changed: these are the paths.
    Before(&'a Goal),
}

/// Which goal a document is.
#[derive(Clone, Copy)]
pub(super) struct Digests {
    pub(super) goal: Digest,
    pub(super) contract: Digest,
}

/// Whether a command that is a blank text is a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// It is.
    Always,
    /// It is none.
    UnlessBlank,
}

/// Reads a document whose snapshots have these digests. Everything in the result was checked where nothing was reported.
pub(super) fn read(
    document: Node<'_, '_>,
    digests: Digests,
    paths: Found<'_>,
    report: &mut Report,
) -> Option<(Goal, Progress)> {
    let fields = document.fields(&keys::GOAL, report)?;
    check_absent_features(&fields, report);
    let mut progress = progress::read_top(&fields, report);
    let name = name(&fields, report);
    let repo = fields
        .required("repo", report)
        .and_then(|node| read_repo(&node, paths, report));
    let beside = Beside::read(&fields, &paths, report);
    let worker_cmd = fields.required("worker_cmd", report);
    let worker_cmd = worker_cmd.and_then(|node| read_command(&node, Wanted::Always, report));
    let verify_cmd = fields.optional("verify_cmd");
    let verify_cmd = verify_cmd.and_then(|node| read_command(&node, Wanted::UnlessBlank, report));
    let contract = fields
        .optional("contract")
        .and_then(|node| read_contract(node, report));
    let budget = fields
        .optional("budget")
        .and_then(|node| read_budget(node, report))
        .unwrap_or_default();
    let max_attempts = fields
        .present("max_attempts")
        .and_then(|node| node.whole(1..=100, report));
    let tick = fields
        .present("tick_seconds")
        .and_then(|node| node.seconds(Duration::ZERO, report));
    let idle = fields
        .optional("worker_idle_seconds")
        .and_then(|node| node.seconds(SHORTEST, report));
    let deployment_id = deployment_id(&fields, name, report);
    let tasks = fields
        .required("tasks", report)
        .and_then(|node| read_tasks(name, &node, report));
    let (tasks, by_task) = tasks?.into_iter().unzip();
    progress.tasks = by_task;
    let goal = Goal {
        name: name.to_owned(),
        repo: repo?,
        worker_cmd: worker_cmd?,
        verify_cmd,
        mode: read_mode(&fields, report),
        contract,
        budget,
        max_attempts: max_attempts
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(3),
        tick: tick.unwrap_or(Duration::from_secs(1)),
        worker_timeout: limit(&fields, "worker_timeout_seconds", 7200, report),
        worker_idle: idle,
        verify_timeout: limit(&fields, "verify_timeout_seconds", 3600, report),
        env_pass: read_env_pass(&fields, report),
        deployment_id: deployment_id?,
        tasks,
        digest: digests.goal,
        contract_digest: digests.contract,
        alerts: beside.alerts,
        attest: beside.attest,
        audit_sink: beside.audit_sink,
    };
    Some((goal, progress))
}

/// Who hears of the goal, and who vouches for it: what may name files beside it.
struct Beside {
    alerts: Alerts,
    attest: Option<Attest>,
    audit_sink: Option<AuditSink>,
}

impl Beside {
    /// All of it is checked; where paths were found before, what was found then counts.
    fn read(fields: &Fields<'_, '_>, paths: &Found<'_>, report: &mut Report) -> Self {
        let alerts = fields.optional("alerts");
        let alerts = alerts.and_then(|node| read_alerts(&node, paths, report));
        let read = Self {
            alerts: alerts.unwrap_or_default(),
            attest: read_attest(fields, paths, report),
            audit_sink: read_sink(fields, paths, report),
        };
        match paths {
            Found::At(_) => read,
            Found::Before(goal) => Self {
                alerts: goal.alerts.clone(),
                attest: goal.attest.clone(),
                audit_sink: goal.audit_sink.clone(),
            },
        }
    }
}

/// Reads a command. A blank text that is not [`Wanted::Always`] is no command and no mistake.
pub(super) fn read_command(node: &Node<'_, '_>, wanted: Wanted, report: &mut Report) -> Option<CommandLine> {
    if !node.is_list() {
        let text = if wanted == Wanted::Always {
            node.words(report)
        } else {
            node.text(report)
        }?;
        return (!text.trim().is_empty()).then(|| CommandLine::Shell(text.to_owned()));
    }
    read_argv(node, report).map(CommandLine::Argv)
}

/// Reads a program and its arguments; the program is not blank.
pub(super) fn read_argv(node: &Node<'_, '_>, report: &mut Report) -> Option<Vec<String>> {
    let mut argv = Vec::new();
    for item in node.items(report)? {
        let argument = if argv.is_empty() {
            item.words(report)
        } else {
            item.text(report)
        };
        argv.push(argument?.to_owned());
    }
    if argv.is_empty() {
        node.wrong(report, "the command is empty", None);
        return None;
    }
    Some(argv)
}

fn name<'v>(fields: &Fields<'v, '_>, report: &mut Report) -> &'v str {
    fields
        .present("goal")
        .and_then(|node| node.name(NAME_MAX, report))
        .unwrap_or("goal")
}

fn read_mode(fields: &Fields<'_, '_>, report: &mut Report) -> Mode {
    let word = fields
        .present("mode")
        .and_then(|node| node.word(&["propose", "commit"], report));
    if word == Some("commit") {
        Mode::Commit
    } else {
        Mode::Propose
    }
}

/// A limit that `null` lifts.
fn limit(fields: &Fields<'_, '_>, name: &str, default: u64, report: &mut Report) -> Option<Duration> {
    match fields.present(name) {
        None => Some(Duration::from_secs(default)),
        Some(node) if node.is_null() => None,
        Some(node) => node.seconds(SHORTEST, report),
    }
}

fn read_env_pass(fields: &Fields<'_, '_>, report: &mut Report) -> Vec<String> {
    let Some(node) = fields.optional("env_pass") else {
        return Vec::new();
    };
    let mut names = Vec::new();
    for item in node.items(report).into_iter().flatten() {
        let Some(name) = item.name(NAME_MAX, report) else {
            continue;
        };
        if name.contains('=') {
            item.wrong(report, "the name of a variable holds no `=`", None);
        }
        names.push(name.to_owned());
    }
    names
}

/// The keys that this version accepts with one value alone.
fn check_absent_features(fields: &Fields<'_, '_>, report: &mut Report) {
    const WORDS: [(&str, &[&str], &str); 2] = [
        ("isolation", &["in_place", "checkout"], "checkout isolation"),
        ("sandbox", &["off", "auto", "required"], "a sandbox"),
    ];
    for (name, words, feature) in WORDS {
        let Some(node) = fields.present(name) else {
            continue;
        };
        if node
            .word(words, report)
            .is_some_and(|word| words.first() != Some(&word))
        {
            let (message, help) = later(feature);
            node.wrong(report, message, help);
        }
    }
    let Some(node) = fields.present("max_parallel") else {
        return;
    };
    if node.whole(1..=64, report).is_some_and(|count| count != 1) {
        let (message, help) = later("parallel tasks");
        node.wrong(report, message, help);
    }
}

/// The one given, or the first 32 hex digits of the SHA-256 over the RFC 8785 form of `[principal or "", goal]`.
fn deployment_id(fields: &Fields<'_, '_>, name: &str, report: &mut Report) -> Option<String> {
    if let Some(node) = fields.optional("deployment_id") {
        return node.name(NAME_MAX, report).map(str::to_owned);
    }
    let principal = fields.optional("principal").and_then(|node| node.as_text());
    let digest = digest_of(&[principal.unwrap_or_default(), name]);
    let digest = digest
        .map_err(|error| fields.node.wrong(report, error.to_string(), None))
        .ok()?;
    Some(digest.to_string().chars().take(32).collect())
}

fn read_repo(node: &Node<'_, '_>, paths: Found<'_>, report: &mut Report) -> Option<PathBuf> {
    let text = node.words(report)?;
    let place = match paths {
        Found::Before(goal) => return Some(goal.repo.clone()),
        Found::At(place) => place,
    };
    let written = expand_home(node, text, place, report)?;
    let path = place.folder.join(&written);
    let found = (place.folder_at)(&path);
    // The original took the path from the current directory: a file that was run from elsewhere may mean that one.
    let elsewhere = if written.is_relative() {
        place.cwd.as_ref().map(|cwd| cwd.join(&written))
    } else {
        None
    };
    let elsewhere = elsewhere
        .filter(|other| (place.folder_at)(other).is_some_and(|folder| found.as_ref() != Some(&folder)));
    match (found, elsewhere) {
        (Some(found), None) => Some(found),
        (Some(_), Some(other)) => {
            let message = format!(
                "`{}` could be {} or {}",
                shown(text),
                path.display(),
                other.display()
            );
            let help = "the first is from the folder of goal.json, the second from the current directory: write the whole path";
            node.wrong(report, message, Some(help.to_owned()));
            None
        }
        (None, other) => {
            let help = other.map(|other| {
                format!(
                    "paths are taken from the folder of goal.json; there is {}",
                    other.display()
                )
            });
            node.wrong(report, format!("there is no folder {}", path.display()), help);
            None
        }
    }
}

/// A path with `~` in it made whole.
pub(super) fn expand_home(
    node: &Node<'_, '_>,
    text: &str,
    place: &Place<'_>,
    report: &mut Report,
) -> Option<PathBuf> {
    let rest = match text.strip_prefix('~') {
        None => return Some(PathBuf::from(text)),
        Some("") => "",
        Some(rest) => match rest.strip_prefix('/') {
            Some(rest) => rest.trim_start_matches('/'),
            None => {
                let help = format!(
                    "write the whole path, or `./{}` for a folder of that name",
                    shown(text)
                );
                node.wrong(report, "`~` stands for your own home folder alone", Some(help));
                return None;
            }
        },
    };
    let home = place.home.as_ref().map(|home| {
        if rest.is_empty() {
            home.clone()
        } else {
            home.join(rest)
        }
    });
    if home.is_none() {
        node.wrong(
            report,
            "there is no home folder for `~`",
            Some("set HOME, or write the whole path".to_owned()),
        );
    }
    home
}
