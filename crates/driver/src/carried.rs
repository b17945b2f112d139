//! What a new chain must not forget of the log that it takes the place of: halts, revocations, frozen fields, tampering, and
//! how the tree stood.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use machine_driver_state::event::{Event, ImportedHalt, ImportedRule, OverrideKind};
use machine_driver_state::goal::Goal;
use machine_driver_state::record::Record;
use machine_driver_state::state::{Halt, Run, State};
use machine_driver_state::store::{Paths, RealDisk, StoreError, read_log};

use crate::error::DriverError;
use crate::opening::thawed_since;
use crate::read::kept_goal;
use crate::sink::Sink;

/// The longest line that is looked at in the part of a log that does not hold together.
const LINE_MAX: u64 = 1 << 20;

/// An older log, as far as it can be read.
#[derive(Debug)]
pub(crate) struct Older {
    log: PathBuf,
    pub(crate) state: State,
    /// Whether it holds together to its end.
    is_whole: bool,
    /// Records that do.
    records: u64,
}

impl Older {
    /// Folds the log as far as it goes; `sink` hears of its records. Where there is none, or an empty one, it may have been set
    /// aside by a restart that was killed.
    pub(crate) fn read(paths: &Paths, sink: Option<&mut Sink>) -> Self {
        let is_there = |path: &Path| fs::metadata(path).is_ok_and(|meta| meta.len() > 0);
        let kept = (1_u32..).map(|number| paths.log_kept(&number.to_string()));
        match kept.take_while(|path| path.exists()).last() {
            Some(kept) if !is_there(&paths.log) => Self {
                is_whole: false,
                ..Self::fold(&kept, sink)
            },
            _ => Self::fold(&paths.log, sink),
        }
    }

    fn fold(log: &Path, mut sink: Option<&mut Sink>) -> Self {
        let mut older = Self {
            log: log.to_owned(),
            state: State::new(),
            is_whole: false,
            records: 0,
        };
        let read = read_log(&RealDisk, log, None, &mut |entry| {
            older.state.apply(&entry.record)?;
            older.records += 1;
            if let Some(sink) = sink.as_deref_mut() {
                sink.found(&entry.record);
            }
            Ok(())
        });
        older.is_whole = matches!(read, Ok(_) | Err(StoreError::Original { .. }));
        older
    }

    /// A halt is lifted by a person before the log that says so is set aside, where it can be.
    pub(crate) fn refuse_halted(&self, paths: &Paths) -> Result<(), DriverError> {
        match self.state.halt().filter(|_| self.is_whole) {
            Some(halt) => Err(DriverError::halted(&paths.goal, halt)),
            None => Ok(()),
        }
    }

    /// What stands on, for `goal` as it is now. `is_expected` says whether goal.json shows that there was a log.
    pub(crate) fn rule(&self, paths: &Paths, goal: &Goal, is_expected: bool) -> Option<ImportedRule> {
        let state = &self.state;
        let left_behind = state.run() == Run::Up && state.current().is_some_and(|current| !current.cut_off);
        let mut rule = ImportedRule {
            halt: state.halt().map(imported_halt),
            revoked: state.revoked(),
            thawed: state.thawed().to_vec(),
            tampered: state.tampered() && (left_behind || !self.is_whole),
            standing: state.standing().cloned(),
        };
        let known = state.goal_digest();
        let nobody_knows = !self.is_whole || (self.records == 0 && is_expected);
        let thawed = match known.filter(|_| !nobody_knows) {
            Some(known) if known == goal.digest => Vec::new(),
            Some(known) => thawed_since(kept_goal(paths, known).ok().as_ref(), goal),
            None if nobody_knows => thawed_since(None, goal),
            None => Vec::new(),
        };
        for field in thawed {
            if !rule.thawed.contains(&field) {
                rule.thawed.push(field);
            }
        }
        if !self.is_whole {
            self.add_broken(&mut rule);
        }
        (rule != ImportedRule::default()).then_some(rule)
    }

    /// What the part that does not hold together says against going on counts; what it says for it does not: who broke it may
    /// have written that.
    fn add_broken(&self, rule: &mut ImportedRule) {
        let Ok(file) = File::open(&self.log) else { return };
        let skipped = usize::try_from(self.records).unwrap_or(usize::MAX);
        let mut reader = BufReader::new(file);
        for index in 0_usize.. {
            let mut line = Vec::new();
            let read = std::io::Read::take(&mut reader, LINE_MAX).read_until(b'\n', &mut line);
            if !matches!(read, Ok(1..)) {
                return;
            }
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let Some(record) = (index >= skipped).then(|| Record::read(line).ok()).flatten() else {
                continue;
            };
            match &record.event {
                Event::OverrideRequested(asked) if asked.kind == OverrideKind::Halt => {
                    rule.halt.get_or_insert_with(|| ImportedHalt {
                        id: asked.id.clone(),
                        by: asked.by.clone(),
                        reason: asked.reason.clone(),
                        at: record.at,
                    });
                }
                Event::ContractRevoked(_) => rule.revoked = true,
                Event::Tampering(_) => rule.tampered = true,
                _ => {}
            }
        }
    }
}

fn imported_halt(halt: &Halt) -> ImportedHalt {
    ImportedHalt {
        id: halt.id.clone(),
        by: halt.by.clone(),
        reason: halt.reason.clone(),
        at: halt.at,
    }
}
