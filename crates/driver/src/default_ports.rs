//! The ports that a goal asks for by itself: git in its repository, and the ways to tell a person that goal.json and the
//! environment name.

use std::path::PathBuf;
use std::sync::Arc;

use machine_driver_alert::{Alerter, Settings as AlertSettings, TelegramSettings, WebhookSettings};
use machine_driver_governor::{Committer, Surveyor, audit, gate};
#[cfg(feature = "git")]
use machine_driver_repo::{FolderSurveyor, GitCommitter, RepoError, Settings, SurveySettings};
use machine_driver_state::goal::file::GoalFile;
use machine_driver_state::goal::{Goal, Mode};
#[cfg(feature = "git")]
use machine_driver_state::store::Paths;
use machine_driver_state::time::Timestamp;

use crate::error::DriverError;

/// The variables that may name a file with a secret.
const SECRET_FILES: [&str; 2] = ["TELEGRAM_BOT_TOKEN_FILE", "TELEGRAM_CHAT_ID_FILE"];

/// Git in the goal's repository, where commits are asked for, or records about what was found. Reads what is the user's own before any worker runs.
///
/// # Errors
/// [`DriverError::Goal`] where a commit could be permitted and none could be made.
pub fn committer(file: &GoalFile, now: Timestamp) -> Result<Option<Arc<dyn Committer>>, DriverError> {
    if file.goal().mode != Mode::Commit && file.goal().attest.is_none() {
        return Ok(None);
    }
    git(file, now)
}

#[cfg(not(feature = "git"))]
fn git(file: &GoalFile, now: Timestamp) -> Result<Option<Arc<dyn Committer>>, DriverError> {
    if !gate::could_commit(file.goal(), now) {
        return Ok(None);
    }
    let message =
        "nothing could be committed: this build knows no git, and no committer was given".to_owned();
    let help = "give the builder a committer, or set `mode` to `propose`".to_owned();
    Err(file.refuse(None, "mode", message, Some(help)).into())
}

#[cfg(feature = "git")]
fn git(file: &GoalFile, now: Timestamp) -> Result<Option<Arc<dyn Committer>>, DriverError> {
    match open(file) {
        Ok(committer) => Ok(Some(Arc::new(committer))),
        // Nothing could be committed anyway: the gate says why, task by task.
        Err(_) if !gate::could_commit(file.goal(), now) => Ok(None),
        Err(error) => Err(refused(file, &error)),
    }
}

#[cfg(feature = "git")]
fn open(file: &GoalFile) -> Result<GitCommitter, RepoError> {
    let paths = Paths::of(file.path());
    GitCommitter::open(&Settings {
        repo: file.goal().repo.clone(),
        own: paths.own(),
        own_prefixes: paths.own_prefixes(),
    })
}

/// Git in the goal's repository, whatever is asked for now: a commit may have been made before its driver was killed.
#[cfg(feature = "git")]
pub(crate) fn finisher(file: &GoalFile) -> Option<Arc<dyn Committer>> {
    Some(Arc::new(open(file).ok()?))
}

#[cfg(not(feature = "git"))]
pub(crate) fn finisher(_: &GoalFile) -> Option<Arc<dyn Committer>> {
    None
}

#[cfg(feature = "git")]
fn refused(file: &GoalFile, error: &RepoError) -> DriverError {
    let key = if matches!(error, RepoError::NotARepository { .. }) {
        "repo"
    } else {
        "mode"
    };
    let message = format!("nothing could be committed: {}", crate::outcome::chain(error));
    let step = error.next_step();
    let help = if step.contains("propose") {
        step.to_owned()
    } else {
        format!("{step} Or set `mode` to `propose`.")
    };
    file.refuse(None, key, message, Some(help)).into()
}

/// Who sees what a worker changed, where the goal has rules about paths: git in the goal's repository, or the files of a plain
/// folder.
///
/// # Errors
/// [`DriverError::Goal`] where the rules could not be asked: a rule that is not enforced must not look as if it were.
pub fn surveyor(file: &GoalFile) -> Result<Option<Arc<dyn Surveyor>>, DriverError> {
    if !audit::has_rules(file.goal()) {
        return Ok(None);
    }
    surveyor_of(file).map(Some)
}

#[cfg(not(feature = "git"))]
fn surveyor_of(file: &GoalFile) -> Result<Arc<dyn Surveyor>, DriverError> {
    let message = "it has rules about paths, and this build cannot see what changed".to_owned();
    let help =
        "give the builder a surveyor, or take `scope` and the `path:` entries of `immutable` out".to_owned();
    Err(file.refuse(None, "repo", message, Some(help)).into())
}

#[cfg(feature = "git")]
fn surveyor_of(file: &GoalFile) -> Result<Arc<dyn Surveyor>, DriverError> {
    let paths = Paths::of(file.path());
    let settings = SurveySettings {
        repo: file.goal().repo.clone(),
        own: paths.own(),
        own_prefixes: paths.own_prefixes(),
        kept: paths.snapshots(),
    };
    let surveyor = FolderSurveyor::open(&settings).map_err(|error| {
        let message = format!(
            "it has rules about paths, and they could not be asked: {}",
            crate::outcome::chain(&error)
        );
        file.refuse(None, "repo", message, Some(error.next_step().to_owned()))
    })?;
    Ok(Arc::new(surveyor))
}

/// Who tells a person: those given, or those that goal.json and the environment name.
///
/// # Errors
/// [`DriverError::Refused`] where one is named and cannot be set up: an alert that nobody would get is no alert.
pub fn alerters(file: &GoalFile, given: &[Arc<dyn Alerter>]) -> Result<Vec<Arc<dyn Alerter>>, DriverError> {
    if !given.is_empty() {
        return Ok(given.to_vec());
    }
    let alerts = &file.goal().alerts;
    let settings = AlertSettings {
        telegram: alerts.telegram.as_ref().map(|telegram| TelegramSettings {
            chat_ids: telegram.chat_ids.clone(),
            token_file: telegram.token_file.clone(),
        }),
        webhook: alerts.webhook.as_ref().map(|webhook| WebhookSettings {
            url: webhook.url.clone(),
            secret_file: webhook.secret_file.clone(),
        }),
        command: alerts.command.clone(),
    };
    machine_driver_alert::sinks(&settings, &|name| std::env::var_os(name)).map_err(|error| {
        DriverError::Refused {
            path: file.path().to_owned(),
            what: format!("alerts could not be sent: {}", crate::outcome::chain(&error)),
            help: error.next_step().to_string(),
        }
    })
}

/// The files with secrets that a run uses.
pub(crate) fn secrets(goal: &Goal) -> Vec<PathBuf> {
    let telegram = goal.alerts.telegram.as_ref();
    let webhook = goal.alerts.webhook.as_ref();
    let attest = goal.attest.as_ref();
    let named = [
        attest.and_then(|attest| attest.key.clone()),
        attest.and_then(|attest| attest.tool.clone()),
        telegram.and_then(|telegram| telegram.token_file.clone()),
        webhook.and_then(|webhook| webhook.secret_file.clone()),
    ];
    let from_environment = SECRET_FILES
        .iter()
        .filter_map(|name| std::env::var_os(name).map(PathBuf::from));
    named.into_iter().flatten().chain(from_environment).collect()
}
