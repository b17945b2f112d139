//! The audit of a change: what a worker changed is asked for before reality is.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use machine_driver_governor::audit::{Findings, Rules, has_rules, protected};
use machine_driver_governor::{CommitError, Surveyor};
use machine_driver_state::control::{Control, Cut};
use machine_driver_state::event::{AttemptRef, Audited, Stage};
use machine_driver_state::id::ActorId;
use machine_driver_state::survey::{Difference, Survey};

use crate::driver::Driver;
use crate::error::DriverError;
use crate::gate::Judged;
use crate::notice::Notice;
use crate::outcome;

/// Who judged, in the record of a change that breaks a rule about paths.
const AUDITOR: &str = "audit";

/// What an audit came to.
struct Audit {
    findings: Findings,
    record: Audited,
}

impl Driver {
    /// How the tree stands when a run begins, where the goal has rules about paths.
    pub(crate) fn first_survey(&mut self) -> Result<Option<Survey>, DriverError> {
        if !has_rules(self.goal()) {
            return Ok(None);
        }
        let surveyor = self.surveyor.clone();
        let surveyed = surveyor.ok_or_else(nobody_surveys).and_then(|surveyor| {
            let all = protected(self.goal());
            let control = Control::new();
            let survey = |control: &Control<'_>| surveyor.survey(&all, control);
            let (found, cut) = self.lookout.attend(&self.stop, None, || (), &control, survey);
            match (found, cut) {
                (_, Some(_)) => Ok(None), // Stopped before it began: the loop says so.
                (Some(found), None) => found.map(Some),
                (None, None) => Err(panicked()),
            }
        });
        surveyed.map_err(|error| DriverError::Refused {
            path: self.held.store.paths().goal.clone(),
            what: format!(
                "it has rules about paths, and how the tree stands could not be seen: {}",
                outcome::chain(&error)
            ),
            help: "Mend that, or take `scope` and the `path:` entries of `immutable` out.".into(),
        })
    }

    /// Whether the tree, as it stands at a start, keeps to the contract's rules. What a worker left is told, and may be put back by
    /// a worker. What was changed since the driver last looked, with no worker at it, is most likely the operator's: nobody is to be
    /// told to put that back, so a person has to say.
    pub(crate) fn compare_with_standing(&mut self, survey: Option<&Survey>) -> Result<(), DriverError> {
        let (Some(now), Some(standing)) = (survey, self.held.state.standing().cloned()) else {
            return Ok(());
        };
        let Some(surveyor) = self.surveyor.clone().filter(|_| !self.accepts_tree) else {
            return Ok(());
        };
        let compare = |before: &Survey| {
            surveyor.compare(before, now).map_err(|error| {
                let why = outcome::chain(&error);
                self.needs_a_look(&format!(
                    "its rules about paths cannot be asked, since how the tree stood before is not known for them: {why}"
                ))
            })
        };
        let differences = compare(&standing)?;
        let left_as = self.held.state.left_as();
        let since = left_as.map(compare).transpose()?.unwrap_or_default();
        let is_new = |difference: &&Difference| since.iter().any(|other| other.path == difference.path);
        let new: Vec<Difference> = differences.iter().filter(is_new).cloned().collect();
        let rules = Rules::of_contract(self.goal());
        let (of_others, all) = (rules.ask(now, &new, &[]), rules.ask(now, &differences, &[]));
        if !of_others.holds() {
            let found = one_line(&of_others.feedback());
            return Err(self.needs_a_look(&format!(
                "the tree was changed since the driver last looked at it, in a way that its rules about paths do not allow: {found}"
            )));
        }
        if !all.holds() {
            let found = one_line(&all.feedback());
            self.tell(&Notice::TreeNotAsItWas { found: &found });
        }
        Ok(())
    }

    fn needs_a_look(&self, what: &str) -> DriverError {
        DriverError::Refused {
            path: self.held.store.paths().goal.clone(),
            what: what.to_owned(),
            help: "Put it back as it was; or, where it is yours, look at the tree and start once with `--accept-tree`: from then on the \
                   rules compare with the tree as it stands."
                .into(),
        }
    }

    /// Asks the rules about paths about what the worker changed. Nothing where something was recorded instead: a rule is
    /// broken, the driver was stopped, or nobody can tell.
    pub(crate) fn audited(
        &mut self,
        attempt: &AttemptRef,
        index: usize,
        tries: u32,
        judged: Judged,
    ) -> Result<Option<Judged>, DriverError> {
        if Rules::of(self.goal(), index).is_empty() {
            return Ok(Some(judged));
        }
        let audit = match self.audit(attempt, index)? {
            Ok(audit) => audit,
            Err(Unknown::Cut(by)) => {
                self.record_step(outcome::cut_off(attempt.clone(), Stage::Verify, by))?;
                return Ok(None);
            }
            Err(Unknown::Because(why)) => return self.not_audited(attempt, &why, tries),
            Err(Unknown::Unseen(audit)) => *audit,
        };
        self.keep_findings(attempt, &audit.findings)?;
        if !audit.findings.holds() {
            return self.broken(attempt, &audit, judged);
        }
        let is_another = |judged: &Judged| {
            let read = judged.change.as_ref().map(|change| &change.tree);
            read.is_some() && read != audit.record.survey.tree.as_ref()
        };
        if is_another(&judged) {
            return self.not_audited(attempt, "the tree changed while it was looked at", tries);
        }
        Ok(Some(Judged {
            audit: Some(audit.record),
            ..judged
        }))
    }

    fn audit(&mut self, attempt: &AttemptRef, index: usize) -> Result<Result<Audit, Unknown>, DriverError> {
        let Some(surveyor) = self.surveyor.clone() else {
            return Ok(Err(Unknown::Because(nobody_surveys().to_string())));
        };
        let all = protected(self.goal());
        let survey = |control: &Control<'_>| surveyor.survey(&all, control);
        let (found, cut, _) = self.attended(attempt, Stage::Verify, survey)?;
        if let Some(by) = cut {
            return Ok(Err(Unknown::Cut(by)));
        }
        let audit = found
            .unwrap_or_else(|| Err(panicked()))
            .and_then(|survey| self.ask_rules(&surveyor, attempt, index, survey));
        Ok(audit.map_err(|error| match (error, self.held.state.standing()) {
            // It could be seen when the run began, so that is the worker's doing.
            (CommitError::Refused { why }, Some(standing)) => {
                let findings = Rules::of(self.goal(), index).unseen(&why);
                let record = findings.record(standing.clone());
                Unknown::Unseen(Box::new(Audit { findings, record }))
            }
            (error, _) => Unknown::Because(outcome::chain(&error)),
        }))
    }

    fn ask_rules(
        &self,
        surveyor: &Arc<dyn Surveyor>,
        attempt: &AttemptRef,
        index: usize,
        survey: Survey,
    ) -> Result<Audit, CommitError> {
        let state = &self.held.state;
        let standing = state.standing().ok_or_else(|| unknown("the run began"))?;
        let base = state.task(&attempt.task).and_then(|task| task.base.as_ref());
        let since_start = surveyor.compare(standing, &survey)?;
        let since_task = match base {
            Some(base) if base == standing => since_start.clone(),
            Some(base) => surveyor.compare(base, &survey)?,
            None => return Err(unknown("the task began")),
        };
        let findings = Rules::of(self.goal(), index).ask(&survey, &since_start, &since_task);
        let record = findings.record(survey);
        Ok(Audit { findings, record })
    }

    /// The verifier is not asked about a change that breaks a rule: that is what the next attempt is told.
    fn broken(
        &mut self,
        attempt: &AttemptRef,
        audit: &Audit,
        judged: Judged,
    ) -> Result<Option<Judged>, DriverError> {
        let file = self.audit_file(attempt, "verify");
        keep(&file, audit.findings.feedback().as_bytes())?;
        #[expect(clippy::expect_used, reason = "the name is a constant of lower-case letters")]
        let auditor = ActorId::new(AUDITOR).expect("a name");
        let event = outcome::of_audit(
            attempt.clone(),
            auditor,
            &audit.findings,
            audit.record.clone(),
            judged.change,
        );
        let now = self.timeline.now();
        self.record(now, event)?;
        Ok(None)
    }

    fn not_audited(
        &mut self,
        attempt: &AttemptRef,
        why: &str,
        tries: u32,
    ) -> Result<Option<Judged>, DriverError> {
        let why = format!("the rules about paths could not be asked: {why}");
        let now = self.timeline.now();
        let event = outcome::unavailable(attempt.clone(), self.verifier.id(), &why, tries);
        self.record(now, event)?;
        Ok(None)
    }

    /// What each rule said is evidence: the record about the task names it.
    fn keep_findings(&self, attempt: &AttemptRef, findings: &Findings) -> Result<(), DriverError> {
        for (rule, finding) in [("scope", &findings.scope), ("immutable", &findings.immutable)] {
            if let Some(finding) = finding {
                keep(&self.audit_file(attempt, rule), finding.text.as_bytes())?;
            }
        }
        Ok(())
    }

    fn audit_file(&self, attempt: &AttemptRef, what: &str) -> std::path::PathBuf {
        let folder = self.held.evidence_of(&attempt.task);
        folder.join(format!("attempt-{}.{what}.log", attempt.attempt))
    }
}

/// Why there is no finding.
enum Unknown {
    Cut(Cut),
    /// The worker left the tree in a state in which nobody can see what it changed.
    Unseen(Box<Audit>),
    Because(String),
}

fn nobody_surveys() -> CommitError {
    CommitError::other(
        "nobody can see the tree",
        "no surveyor was given, and this build has none of its own",
    )
}

fn panicked() -> CommitError {
    CommitError::other("the surveyor panicked", "see what it said on standard error")
}

fn unknown(when: &str) -> CommitError {
    CommitError::other(
        format!("how the tree stood when {when} is not known"),
        "no rules about paths were asked then",
    )
}

/// What was found, on one line.
fn one_line(found: &str) -> String {
    let lines: Vec<&str> = found
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    outcome::shortened(&lines.join("; "), outcome::DETAIL_CHARS)
}

/// Writes evidence anew: what a worker put in its place is not followed, and not kept.
fn keep(file: &Path, text: &[u8]) -> Result<(), DriverError> {
    let failed = |source| DriverError::Io {
        operation: "write",
        path: file.to_owned(),
        source,
    };
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut kept = fs::File::create_new(file).map_err(failed)?;
    kept.write_all(text)
        .and_then(|()| kept.sync_all())
        .map_err(failed)
}
