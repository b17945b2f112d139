//! What people are to be told, and what they were told: the outbox that the log keeps.

use std::collections::{BTreeMap, VecDeque};

use super::State;
use super::apply::Applied;
use crate::alert::{Alert, AlertId, AlertKind};
use crate::event::{AlertDelivered, AlertRaised, AlertResolved};
use crate::id::TaskId;
use crate::time::Timestamp;

/// What is to be raised, what is on its way, and what stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outbox {
    due: VecDeque<Due>,
    over: VecDeque<(AlertId, &'static str)>,
    /// Raised and not resolved, by dedup key.
    open: BTreeMap<String, AlertId>,
    waiting: BTreeMap<AlertId, Waiting>,
    raised_at: Timestamp,
}

/// Something that a person is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// What it is about.
    pub kind: AlertKind,
    /// The task, where it is about one.
    pub about: Option<TaskId>,
    /// What happened.
    pub text: String,
}

/// An alert on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The alert.
    pub alert: Alert,
    /// The sinks that it has not gone out through yet.
    pub sinks: Vec<String>,
}

/// One alert at a time has this key: (goal, task, kind), where a task's id is never empty.
#[must_use]
pub fn dedup_key(goal: &str, about: Option<&TaskId>, kind: AlertKind) -> String {
    format!("{goal}/{}/{}", about.map_or("", TaskId::as_str), kind.word())
}

impl Outbox {
    /// What is to be raised next.
    #[must_use]
    pub fn due(&self) -> Option<&Due> {
        self.due.front()
    }

    /// The alert to be resolved next, and why.
    #[must_use]
    pub fn over(&self) -> Option<(&AlertId, &'static str)> {
        self.over.front().map(|(id, why)| (id, *why))
    }

    /// Whether an alert with this key was raised and not resolved.
    #[must_use]
    pub fn open(&self, dedup_key: &str) -> Option<&AlertId> {
        self.open.get(dedup_key)
    }

    /// The alerts that have not gone out through all their sinks.
    pub fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.values()
    }

    /// Whether everything raised went out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the last alert was raised.
    #[must_use]
    pub const fn raised_at(&self) -> Timestamp {
        self.raised_at
    }
}

impl State {
    /// Somebody is to be told, unless they were told the same already.
    pub(super) fn tell(&mut self, kind: AlertKind, about: Option<&TaskId>, text: String) {
        if self.sinks.is_empty() {
            return;
        }
        let key = self.dedup_key(about, kind);
        let same = |due: &Due| due.kind == kind && due.about.as_ref() == about;
        // An alert that is about to be resolved is as good as resolved.
        let is_over = |id: &AlertId| self.outbox.over.iter().any(|(over, _)| over == id);
        if self.outbox.open(&key).is_some_and(|id| !is_over(id)) || self.outbox.due.iter().any(same) {
            return;
        }
        let about = about.cloned();
        self.outbox.due.push_back(Due { kind, about, text });
    }

    /// What such an alert was about is over.
    pub(super) fn settle(&mut self, kind: AlertKind, about: Option<&TaskId>, why: &'static str) {
        self.outbox
            .due
            .retain(|due| due.kind != kind || due.about.as_ref() != about);
        let key = self.dedup_key(about, kind);
        if let Some(id) = self.outbox.open.get(&key)
            && !self.outbox.over.iter().any(|(over, _)| over == id)
        {
            self.outbox.over.push_back((id.clone(), why));
        }
    }

    pub(super) fn alert_raised(&mut self, raised: &AlertRaised, at: Timestamp) -> Applied {
        let key = self.dedup_key(raised.about.as_ref(), raised.kind);
        if raised.dedup_key != key {
            return Err(format!("its key should be {key:?}"));
        }
        if self.outbox.open.contains_key(&key) {
            return Err("the same was told already, and is not resolved".into());
        }
        match self.outbox.due.front() {
            Some(due) if due.kind == raised.kind && due.about == raised.about => {
                self.outbox.due.pop_front();
            }
            // The contract depends on the clock, so the rules say when this one is due.
            _ if raised.kind == AlertKind::NotRatified => {}
            _ => return Err("no such alert is due".into()),
        }
        let alert = Alert {
            id: raised.id.clone(),
            kind: raised.kind,
            goal: self.goal_name.clone().unwrap_or_default(),
            task: raised.about.clone(),
            text: raised.text.clone(),
            at,
        };
        let sinks = raised.sinks.clone();
        if !sinks.is_empty() {
            let waiting = Waiting { alert, sinks };
            self.outbox.waiting.insert(raised.id.clone(), waiting);
        }
        self.outbox.open.insert(key, raised.id.clone());
        self.outbox.raised_at = at;
        Ok(())
    }

    pub(super) fn alert_delivered(&mut self, delivered: &AlertDelivered) -> Applied {
        let waiting = self.outbox.waiting.get_mut(&delivered.id);
        let waiting = waiting.ok_or("no such alert is on its way")?;
        let before = waiting.sinks.len();
        waiting.sinks.retain(|sink| *sink != delivered.sink);
        if waiting.sinks.len() == before {
            return Err("it did not wait for that sink".into());
        }
        if waiting.sinks.is_empty() {
            self.outbox.waiting.remove(&delivered.id);
        }
        Ok(())
    }

    pub(super) fn alert_resolved(&mut self, resolved: &AlertResolved) -> Applied {
        if self.outbox.over.front().is_some_and(|(id, _)| *id == resolved.id) {
            self.outbox.over.pop_front();
        }
        let before = self.outbox.open.len();
        self.outbox.open.retain(|_, id| *id != resolved.id);
        if self.outbox.open.len() == before {
            return Err("no such alert stands".into());
        }
        Ok(())
    }

    fn dedup_key(&self, about: Option<&TaskId>, kind: AlertKind) -> String {
        dedup_key(self.goal_name.as_deref().unwrap_or_default(), about, kind)
    }
}
