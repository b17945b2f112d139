//! Taking hold of a goal: read, check, lock, fold. Nothing on the disk changes before the goal was found good.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use machine_driver_state::event::{Event, Origin};
use machine_driver_state::goal::file::GoalFile;
use machine_driver_state::goal::{Goal, Status};
use machine_driver_state::id::TaskId;
use machine_driver_state::record::{Head, Record, Seal};
use machine_driver_state::state::{Run, State, TaskState};
use machine_driver_state::store::{
    BoxError, Expected, Kept, KeptAs, Opened, Paths, Store, StoreError, TreeLock, lock_tree,
};
use machine_driver_state::time::Timestamp;

use crate::attest::seal_of;
use crate::carried::Older;
use crate::error::DriverError;
use crate::keep::Keep;
use crate::notice::Notice;
use crate::opening::{self, ByCommand, Then};
use crate::progress::progress;
use crate::read::{kept_goal, parse, read_goal};
use crate::sink::Sink;

/// A goal and its log, locked and understood.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) store: Keep,
    pub(crate) file: GoalFile,
    pub(crate) state: State,
    /// Bytes of a torn last line that were cut off the log.
    pub(crate) torn: u64,
    /// A log of the original driver that was set aside, now or before a crash.
    pub(crate) kept: Option<Kept>,
    then: Then,
    /// Signs every record, where the goal has a key that can.
    pub(crate) seal: Option<Arc<dyn Seal>>,
    tree: Option<TreeLock>,
    /// Where copies of governance records go. Last: nobody waits for the locks because a command is slow.
    pub(crate) sink: Option<Sink>,
}

/// What folding the log has brought.
#[derive(Debug, Default)]
struct Folded {
    state: State,
    then: Then,
    last_change: Option<ByCommand>,
    sink: Option<Sink>,
}

impl Held {
    /// Reads, checks, locks and folds. `check` is asked about the goal before anything is touched.
    pub(crate) fn take(
        path: &Path,
        own: Option<Box<dyn Store>>,
        check: &dyn Fn(&GoalFile) -> Result<(), DriverError>,
    ) -> Result<Self, DriverError> {
        let paths = Paths::of(path);
        let mut file = read_goal(path)?;
        check(&file)?;
        let had_log = paths.log.exists();
        let is_own = own.is_some();
        let mut store = match own {
            Some(store) => Keep::own(store, paths.clone()),
            None => Keep::open(&paths)?,
        };
        let tree = lock_tree(&file.goal().repo, &paths.goal).inspect_err(|_| {
            // Nothing is left behind of a run that was refused.
            if !is_own && !had_log && fs::metadata(&paths.log).is_ok_and(|meta| meta.len() == 0) {
                drop(fs::remove_file(&paths.log));
            }
        })?;
        if let Some(text) = store.goal_text()?.filter(|text| text != file.source()) {
            file = parse(text.as_bytes(), path)?;
            check(&file)?;
        }
        Self::fold(store, file, Some(tree))
    }

    /// The same without the lock on the tree: for those who record something and touch no tree.
    pub(crate) fn take_log(path: &Path) -> Result<Self, DriverError> {
        let file = read_goal(path)?;
        let mut store = Keep::open(&Paths::of(path))?;
        let file = store.as_it_is_now(file, path)?;
        Self::fold(store, file, None)
    }

    /// Folds the log of a goal that is locked and was found good.
    fn fold(mut store: Keep, file: GoalFile, tree: Option<TreeLock>) -> Result<Self, DriverError> {
        let mut folded = Folded {
            sink: Sink::of(&file, store.paths()),
            ..Folded::default()
        };
        let (opened, kept) = load(&mut store, &file, &mut folded)?;
        let seal = if store.is_own() {
            None
        } else {
            seal_of(file.goal())
        };
        let mut held = Self {
            store,
            file,
            state: folded.state,
            torn: opened.torn,
            kept,
            then: folded.then,
            seal,
            tree,
            sink: folded.sink,
        };
        held.check_binding()?;
        held.finish_half_written(folded.last_change)?;
        held.check_under_way()?;
        let has_tree = held.tree.is_some();
        held.sink.iter_mut().for_each(|sink| sink.catch_up(has_tree));
        Ok(held)
    }

    pub(crate) fn goal(&self) -> &Goal {
        self.file.goal()
    }

    /// Keeps the goal in force where a replay finds it.
    pub(crate) fn keep_goal(&mut self) -> Result<(), DriverError> {
        self.store.save_snapshot(&self.file.snapshot())?;
        Ok(())
    }

    /// What a person should hear about goal.json before it is taken as it is.
    pub(crate) fn odd_edits(&self) -> Vec<Notice<'static>> {
        let edited = self
            .state
            .goal_digest()
            .is_some_and(|known| known != self.goal().digest);
        let crashed =
            self.state.run() == Run::Up && self.state.current().is_some_and(|current| !current.cut_off);
        let settled = |(_, task): (_, &TaskState)| task.status != Status::Pending;
        let shows_nothing = self.file.progress().checkpoint.is_none() && self.state.tasks().any(settled);
        let odd = [
            (edited && crashed, Notice::EditedUnderWay),
            (shows_nothing, Notice::ProgressRemoved),
        ];
        odd.into_iter()
            .filter_map(|(is_so, notice)| is_so.then_some(notice))
            .collect()
    }

    /// The record with which this run's story begins, if there is one; the goal that it names is kept first.
    pub(crate) fn opening(&mut self, at: Timestamp) -> Result<Option<Record>, DriverError> {
        self.keep_goal()?;
        let event = if self.state.head().is_none() {
            let origin = if self.kept.is_some() {
                Origin::Original
            } else {
                Origin::GoalJson
            };
            opening::imported(self.goal(), self.file.progress(), origin, self.kept.as_ref())
        } else {
            let known = self.goal_before();
            opening::edited(
                self.goal(),
                self.file.progress(),
                &self.state,
                &self.then,
                known.as_ref(),
                !self.store.is_own(),
            )
        };
        let record = event.map(|event| self.append(at, event)).transpose()?;
        self.state.adopt(self.file.goal());
        Ok(record)
    }

    /// Records that a chain begins anew with the progress that goal.json shows.
    pub(crate) fn restart(&mut self, at: Timestamp) -> Result<Kept, DriverError> {
        let deployment_id = self.goal().deployment_id.clone();
        let expected = Expected {
            deployment_id,
            checkpoint: None,
        };
        // As far as the old log can be read; what it says was used stays used, and what stood in it stands.
        let paths = self.store.paths().clone();
        let older = Older::read(&paths, self.sink.as_mut());
        older.refuse_halted(&paths)?;
        let rule = older.rule(&paths, self.goal(), self.file.progress().checkpoint.is_some());
        let spent = *older.state.spent();
        let kept = self.store.set_aside(KeptAs::Numbered)?;
        self.store.load(&expected, &mut |_| Ok(()))?;
        self.state = State::new();
        self.keep_goal()?;
        if let Some(event) = opening::restarted(self.goal(), self.file.progress(), &kept, &spent, rule) {
            self.append(at, event)?;
        }
        self.state.adopt(self.file.goal());
        self.checkpoint()?;
        Ok(kept)
    }

    /// Takes the lock for a new chain, whatever the old one looks like.
    pub(crate) fn take_for_restart(path: &Path) -> Result<Self, DriverError> {
        let file = read_goal(path)?;
        let mut store = Keep::open(&Paths::of(path))?;
        let tree = lock_tree(&file.goal().repo, &store.paths().goal)?;
        let file = store.as_it_is_now(file, path)?;
        let seal = seal_of(file.goal());
        Ok(Self {
            sink: Sink::of(&file, store.paths()),
            store,
            file,
            state: State::new(),
            torn: 0,
            kept: None,
            then: Then::new(),
            seal,
            tree: Some(tree),
        })
    }

    /// Appends a record and takes it up. When this returns it is durable.
    pub(crate) fn append(&mut self, at: Timestamp, event: Event) -> Result<Record, DriverError> {
        let mut record = Record::after(self.state.head(), at, &self.goal().deployment_id, event)
            .map_err(StoreError::from)?;
        if let Some(seal) = &self.seal {
            record.seal(&**seal).map_err(StoreError::from)?;
        }
        // The state says whether it can happen before the disk says that it did: a record that does not fit would stay.
        self.state.apply(&record)?;
        self.store.append(&record)?;
        if let Some(sink) = &mut self.sink {
            sink.copy(&record);
        }
        Ok(record)
    }

    /// goal.json as it is to be now.
    pub(crate) fn rendered(&self) -> String {
        self.file.render(&progress(self.goal(), &self.state))
    }

    pub(crate) fn checkpoint(&mut self) -> Result<(), DriverError> {
        Ok(self.store.checkpoint(&self.rendered())?)
    }

    pub(crate) fn evidence_of(&self, task: &TaskId) -> PathBuf {
        self.store.paths().task_evidence(task)
    }

    /// A log is bound to the goal whose name its first record has.
    fn check_binding(&self) -> Result<(), DriverError> {
        let name = &self.goal().name;
        match self.state.goal_name() {
            Some(bound) if bound != name => Err(DriverError::Refused {
                path: self.store.paths().goal.clone(),
                what: format!("the log beside it belongs to the goal `{bound}`, not `{name}`"),
                help:
                    "Name the goal as it was, move goal.json to a folder of its own, or begin a new log with \
                       `machine-driver log restart`."
                        .into(),
            }),
            _ => Ok(()),
        }
    }

    /// A command was killed between its record and goal.json: the record counts.
    fn finish_half_written(&mut self, last_change: Option<ByCommand>) -> Result<(), DriverError> {
        let Some(digest) = opening::half_written(self.goal(), self.file.progress(), &self.state, last_change)
        else {
            return Ok(());
        };
        let kept = self.store.paths().snapshot(&digest);
        let snapshot = fs::read(&kept).map_err(|source| DriverError::Io {
            operation: "read",
            path: kept.clone(),
            source,
        })?;
        let document: serde_json::Value =
            serde_json::from_slice(&snapshot).map_err(|error| DriverError::Io {
                operation: "read",
                path: kept,
                source: error.into(),
            })?;
        let known = self.goal().tasks.len();
        let added = document
            .get("tasks")
            .and_then(|tasks| tasks.as_array())
            .and_then(|tasks| tasks.get(known));
        let finished = match added {
            Some(task) => self.file.with_task(task)?,
            None => self.file.with_governance_of(&document)?,
        };
        if finished.goal().digest != digest {
            return Err(DriverError::Refused {
                path: self.store.paths().goal.clone(),
                what: format!(
                    "a command was killed before it had written it, and what it was to write does not follow from {}",
                    self.store.paths().snapshot(&digest).display()
                ),
                help: "Somebody has changed one of the two: look at both, then begin a new log with \
                       `machine-driver log restart`."
                    .into(),
            });
        }
        self.file = finished;
        // At once: another command that was killed before it wrote would hide this one.
        Ok(self.store.checkpoint(self.file.source())?)
    }

    /// What is under way must still be in the goal: its end has to be recorded.
    fn check_under_way(&self) -> Result<(), DriverError> {
        let Some(current) = self.state.current() else {
            return Ok(());
        };
        if self.goal().tasks.iter().any(|task| task.id == current.task) {
            return Ok(());
        }
        Err(DriverError::Refused {
            path: self.store.paths().goal.clone(),
            what: format!(
                "task `{}` is not in it any more, but an attempt at it is under way",
                current.task
            ),
            help: "Put the task back until it is done or blocked.".into(),
        })
    }

    /// The goal that the log knows, where it was kept.
    fn goal_before(&self) -> Option<Goal> {
        let digest = self.state.goal_digest()?;
        kept_goal(self.store.paths(), digest).ok()
    }
}

/// Folds the log; one that the original driver wrote is set aside, and the chain begins behind it.
fn load(
    store: &mut Keep,
    file: &GoalFile,
    folded: &mut Folded,
) -> Result<(Opened, Option<Kept>), DriverError> {
    let checkpoint = file.progress().checkpoint;
    let expected = Expected {
        deployment_id: file.goal().deployment_id.clone(),
        checkpoint,
    };
    match store.load(&expected, &mut |entry| folded.take(&entry.record, checkpoint)) {
        Ok(opened) => {
            let kept = if opened.head.is_none() {
                store.kept_original()?
            } else {
                None
            };
            Ok((opened, kept))
        }
        Err(StoreError::Original { .. }) => {
            let kept = store.set_aside(KeptAs::Original)?;
            let expected = Expected {
                checkpoint: None,
                ..expected
            };
            Ok((store.load(&expected, &mut |_| Ok(()))?, Some(kept)))
        }
        Err(error) => Err(error.into()),
    }
}

impl Folded {
    fn take(&mut self, record: &Record, checkpoint: Option<Head>) -> Result<(), BoxError> {
        self.state.apply(record)?;
        if let Some(sink) = &mut self.sink {
            sink.found(record);
        }
        let by_command = match &record.event {
            Event::TaskAdded(added) => Some((added.before, added.after)),
            Event::ContractRatified(ratified) => Some((ratified.before, ratified.after)),
            Event::ContractRevoked(revoked) => Some((revoked.before, revoked.after)),
            Event::DialChanged(changed) => Some((changed.before, changed.after)),
            _ => None,
        };
        if let Some((before, after)) = by_command {
            let seq = record.seq;
            self.last_change = Some(ByCommand { seq, before, after });
        } else if let Event::GoalEdited(_) = &record.event {
            self.last_change = None;
        }
        if checkpoint.is_some_and(|head| head.seq == record.seq) {
            let statuses: Vec<_> = self.state.tasks().map(|(id, _)| id.clone()).collect();
            self.then = statuses
                .into_iter()
                .map(|id| (id.clone(), self.state.status(&id)))
                .collect();
            self.then.retain(|_, status| *status != Status::Pending);
        }
        Ok(())
    }
}
