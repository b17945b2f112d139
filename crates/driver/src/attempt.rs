//! One attempt carried out: the worker runs, reality is asked, and what a killed driver left behind is cleared up.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use machine_driver_governor::budget;
use machine_driver_state::control::{Control, Cut, Progress, Switch};
use machine_driver_state::event::{AttemptRef, Event, Interrupted, OutputDigest, Stage};
use machine_driver_state::goal::{CommandLine, Goal, Task};
use machine_driver_state::id::TaskId;
use machine_driver_state::time::Timestamp;
use machine_driver_state::usage::Usage;
use machine_driver_verify::{Verdict, VerifyOrder};
use machine_driver_worker::{Feedback, WorkOrder};
use rustix::fs::{Mode, OFlags};

use crate::driver::Driver;
use crate::error::DriverError;
use crate::notice::Notice;
use crate::outcome::{self, Seen};
use crate::processes::{end_leftovers, used_before};

impl Driver {
    /// Runs the worker, and records how it ended.
    pub(crate) fn work(&mut self, attempt: &AttemptRef, index: usize) -> Result<(), DriverError> {
        let feedback = self.feedback(index, &self.held.evidence_of(&attempt.task));
        let order = self.work_order(attempt, index, feedback)?;
        let worker = Arc::clone(&self.worker);
        let (ended, cut, seen) =
            self.attended(attempt, Stage::Worker, |control| worker.run(&order, control))?;
        let event = outcome::of_work(attempt.clone(), ended, cut, seen);
        self.keep_an_eye_on(&event, order.output_file());
        self.record_step(event)
    }

    /// Where a commit is asked for, the evidence of this attempt must still be what was recorded when it is made.
    fn keep_an_eye_on(&mut self, event: &Event, file: PathBuf) {
        let output = match event {
            Event::WorkerExited(_, exited) => &exited.output,
            Event::Verified(_, verified) => &verified.output,
            _ => return,
        };
        if self.held.state.gate() {
            self.watch.take_evidence(file, output);
        }
    }

    /// Runs the verifier, and records what it said.
    pub(crate) fn verify(
        &mut self,
        attempt: &AttemptRef,
        index: usize,
        tries: u32,
    ) -> Result<(), DriverError> {
        let order = self.verify_order(attempt, index)?;
        let Some(judged) = self.read_change(attempt, tries)? else {
            return Ok(());
        };
        let Some(judged) = self.audited(attempt, index, tries, judged)? else {
            return Ok(());
        };
        let verifier = Arc::clone(&self.verifier);
        let (ended, cut, _) =
            self.attended(attempt, Stage::Verify, |control| verifier.verify(&order, control))?;
        if let Some(Ok(verdict)) = &ended {
            keep_output(&order.output_file(), verdict);
        }
        let event = outcome::of_verify(attempt.clone(), verifier.id(), ended, cut, tries, judged);
        self.keep_an_eye_on(&event, order.output_file());
        self.record_step(event)
    }

    /// Ends what an earlier driver left running, and records that its attempt was cut off.
    pub(crate) fn clear_up(&mut self, attempt: AttemptRef, stage: Stage) -> Result<(), DriverError> {
        let current = self.held.state.current();
        let session = current.map(|current| current.session.as_str().to_owned());
        let mark = current.and_then(|current| current.mark.clone());
        let left_at = current.and_then(|current| current.left_at);
        let count = end_leftovers(&session.unwrap_or_default(), mark)?;
        if count > 0 {
            self.tell(&Notice::OrphansEnded { count });
        }
        let now = self.timeline.now();
        let unlogged = self.last_beat(now).since(left_at.unwrap_or(now));
        let (usage, output_bytes) = self.known_of_worker(&attempt, stage);
        let unlogged_wall_ms = u64::try_from(unlogged.as_millis()).unwrap_or(u64::MAX);
        let cut_off = Interrupted {
            by: Cut::Crash,
            stage,
            usage,
            output_bytes,
            unlogged_wall_ms,
        };
        self.record(now, Event::Interrupted(attempt, cut_off))
    }

    /// Does work, and attends to it: its reports are taken up as they come, and the clock may stop it.
    pub(crate) fn attended<T>(
        &mut self,
        attempt: &AttemptRef,
        stage: Stage,
        work: impl FnOnce(&Control<'_>) -> T,
    ) -> Result<(Option<T>, Option<Cut>, Seen), DriverError> {
        let (lookout, stop, beat) = (Arc::clone(&self.lookout), self.stop.clone(), self.beat());
        let deadline = budget::wall_deadline(&self.goal().budget, &self.held.state);
        let left = deadline.map(|deadline| deadline.since(self.timeline.now()));
        let switch = Switch::new();
        let watch = Mutex::new(Watch {
            driver: self,
            attempt,
            stage,
            seen: Seen::default(),
            failed: None,
        });
        let listener = |progress| {
            // A panic in here would be one of the driver's own; what was seen until then still counts.
            let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(why) = watch.heard(progress) {
                switch.cancel(why);
            }
        };
        let control = Control::with_listener(&listener).stopped_by(&switch);
        let (result, cut) = lookout.attend(&stop, left, beat, &control, work);
        let watch = watch.into_inner().unwrap_or_else(PoisonError::into_inner);
        watch.failed.map_or(Ok((result, cut, watch.seen)), Err)
    }

    fn work_order(
        &mut self,
        attempt: &AttemptRef,
        index: usize,
        feedback: Option<Feedback>,
    ) -> Result<WorkOrder, DriverError> {
        let evidence = self.evidence(&attempt.task)?;
        let (goal, task) = self.task(index)?;
        Ok(WorkOrder {
            task: task.id.clone(),
            text: task.goal.clone(),
            attempt: attempt.attempt,
            session: outcome::session(attempt)?,
            feedback,
            repo: goal.repo.clone(),
            goal_file: self.held.store.paths().goal.clone(),
            evidence,
            command: task.worker_cmd.as_ref().unwrap_or(&goal.worker_cmd).clone(),
            wall: task.worker_timeout.unwrap_or(goal.worker_timeout),
            idle: goal.worker_idle,
            output_max: budget::output_left(&goal.budget, self.held.state.spent()),
            env_pass: goal.env_pass.clone(),
        })
    }

    fn verify_order(&mut self, attempt: &AttemptRef, index: usize) -> Result<VerifyOrder, DriverError> {
        // The verifier is told where the feedback lies that the worker got; nothing of it is read again for that.
        let failed = self
            .held
            .state
            .at(index)
            .is_some_and(|known| known.failed_attempt.is_some());
        let worked = self.work_order(attempt, index, failed.then(Feedback::default))?;
        let (goal, task) = self.task(index)?;
        let command = task.verify_cmd.as_ref().or(goal.verify_cmd.as_ref());
        let command: &CommandLine = command.ok_or(DriverError::Rules("there is no verify_cmd to run"))?;
        Ok(VerifyOrder {
            task_file: worked.task_file(),
            feedback_file: worked.feedback_file(),
            usage_file: worked.usage_file(),
            task: task.id.clone(),
            text: worked.text,
            attempt: attempt.attempt,
            session: worked.session,
            repo: worked.repo,
            goal_file: worked.goal_file,
            evidence: worked.evidence,
            command: command.clone(),
            wall: goal.verify_timeout,
            env_pass: goal.env_pass.clone(),
        })
    }

    fn task(&self, index: usize) -> Result<(&Goal, &Task), DriverError> {
        let goal = self.held.goal();
        let task = goal
            .tasks
            .get(index)
            .ok_or(DriverError::Rules("the task is not in the goal"))?;
        Ok((goal, task))
    }

    /// The task's evidence folder, made where there is none. Where all of the evidence was cleared away, the goal in force is
    /// kept again first: a replay needs it.
    fn evidence(&mut self, task: &TaskId) -> Result<PathBuf, DriverError> {
        let folder = self.held.evidence_of(task);
        let made = match make_folder(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.held.keep_goal()?;
                make_folder(&folder)
            }
            made => made,
        };
        let operation = "make the folder";
        made.map_err(|source| DriverError::Io {
            operation,
            path: folder.clone(),
            source,
        })?;
        Ok(folder)
    }

    /// The end of what the last failed verify wrote.
    fn feedback(&self, index: usize, evidence: &Path) -> Option<Feedback> {
        let failed = self.held.state.at(index).and_then(|known| known.failed_attempt)?;
        let known = self
            .held
            .state
            .at(index)
            .and_then(|known| known.verify_tail.clone());
        // A custom verifier keeps no such file, evidence may have been cleared away, and a worker may have put anything in
        // its place: the log has 600 characters.
        let tail = tail_of(
            &evidence.join(format!("attempt-{failed}.verify.log")),
            Feedback::TAIL_MAX as u64,
        );
        Some(Feedback {
            tail: tail.unwrap_or_else(|_| known.unwrap_or_default().into_bytes()),
        })
    }

    /// What is known of a worker whose end nobody saw.
    fn known_of_worker(&self, attempt: &AttemptRef, stage: Stage) -> (Usage, u64) {
        if stage == Stage::Verify {
            return (Usage::default(), 0);
        }
        let evidence = self.held.evidence_of(&attempt.task);
        let log = evidence.join(format!("attempt-{}.worker.log", attempt.attempt));
        let output_bytes = fs::symlink_metadata(log).map_or(0, |meta| meta.len());
        (used_before(&evidence, attempt.attempt), output_bytes)
    }

    fn beat_file(&self) -> PathBuf {
        // No task can have this name.
        self.held.store.paths().evidence.join(".last-beat")
    }

    /// What leaves a sign of life. It only makes the budget more exact, so nothing fails where it cannot be written.
    fn beat(&self) -> impl Fn() + Send + 'static {
        let (file, timeline) = (self.beat_file(), self.timeline.clone());
        move || {
            let is_ours = fs::symlink_metadata(&file).map_or(true, |meta| meta.is_file());
            if is_ours {
                drop(fs::write(&file, timeline.now().to_string()));
            }
        }
    }

    /// The last sign of life, never later than `now`.
    fn last_beat(&self, now: Timestamp) -> Timestamp {
        let text = fs::read_to_string(self.beat_file()).unwrap_or_default();
        Timestamp::parse(text.trim()).map_or(Timestamp::default(), |beat| beat.min(now))
    }
}

/// Hears what one worker or verifier reports, for a driver.
struct Watch<'a> {
    driver: &'a mut Driver,
    attempt: &'a AttemptRef,
    stage: Stage,
    seen: Seen,
    failed: Option<DriverError>,
}

impl Watch<'_> {
    /// Takes a report up. Returning a reason stops the work.
    fn heard(&mut self, progress: Progress) -> Option<Cut> {
        match progress {
            Progress::Started(mark) if self.stage == Stage::Worker => {
                self.seen.started = true;
                let now = self.driver.timeline.now();
                let started = Event::WorkerStarted(self.attempt.clone(), mark);
                self.failed = self.failed.take().or(self.driver.record(now, started).err());
                self.failed.is_some().then_some(Cut::Stop)
            }
            Progress::Used(used) => {
                self.seen.used = used;
                let held = &self.driver.held;
                budget::breached_by(&held.goal().budget, held.state.spent(), used).then_some(Cut::Budget)
            }
            _ => None,
        }
    }
}

/// A verifier that runs no process may keep no file: what it said is evidence and the next worker's feedback all the same,
/// where all of it is at hand. A file that is there is the verifier's own.
fn keep_output(file: &Path, verdict: &Verdict) {
    let is_whole = verdict.output == OutputDigest::of(&verdict.tail);
    if is_whole && let Ok(mut kept) = fs::File::create_new(file) {
        // Without it the log still has the end of it, and the digest.
        drop(kept.write_all(&verdict.tail).and_then(|()| kept.sync_all()));
    }
}

/// Makes a folder where there is none; one that is a link is refused, since it could lead anywhere.
fn make_folder(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            match fs::symlink_metadata(folder)?.is_dir() {
                true => Ok(()),
                false => Err(io::Error::new(io::ErrorKind::NotADirectory, "it is not a folder")),
            }
        }
        made => made,
    }
}

/// The last bytes of a file. A link is not followed, and what is not a file is not waited for.
fn tail_of(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    use std::io::{Read, Seek, SeekFrom};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = fs::File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    let length = meta.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut tail = Vec::new();
    file.take(most).read_to_end(&mut tail)?;
    Ok(tail)
}
