//! Which tasks can be dispatched now: the file's order and `after`, nothing else.

use std::collections::BTreeSet;

use super::task::TaskState;
use crate::event::Cause;
use crate::goal::{Goal, Status};
use crate::id::Digest;

/// The queue over the goal in force, kept up to date step by step: no step looks at all tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    digest: Option<Digest>,
    nodes: Vec<Node>,
    /// From a task's slot to its place in the goal; `usize::MAX` for tasks of earlier goals.
    places: Vec<usize>,
    ready: BTreeSet<usize>,
    in_vain: BTreeSet<usize>,
    done: usize,
    blocked: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    slot: usize,
    after: Vec<usize>,
    before: Vec<usize>,
    not_done: usize,
    blockers: usize,
    status: Status,
    running: bool,
}

impl Plan {
    pub(super) fn new(goal: &Goal, slots: Vec<usize>, tasks: &[TaskState], running: Option<usize>) -> Self {
        let mut plan = Self {
            digest: Some(goal.digest),
            places: vec![usize::MAX; tasks.len()],
            ..Self::default()
        };
        for (index, (task, slot)) in goal.tasks.iter().zip(slots).enumerate() {
            if let Some(place) = plan.places.get_mut(slot) {
                *place = index;
            }
            plan.nodes.push(Node {
                slot,
                after: task.after.clone(),
                before: Vec::new(),
                not_done: task.after.len(),
                blockers: 0,
                status: Status::Pending,
                running: running == Some(slot),
            });
        }
        for (index, task) in goal.tasks.iter().enumerate() {
            for dependency in &task.after {
                if let Some(node) = plan.nodes.get_mut(*dependency) {
                    node.before.push(index);
                }
            }
        }
        for index in 0..plan.nodes.len() {
            let slot = plan.slot(index);
            let status = slot
                .and_then(|slot| tasks.get(slot))
                .map_or(Status::Pending, |task| task.status);
            plan.queue(index);
            plan.set_index(index, status);
        }
        plan
    }

    /// Which goal this is the plan of.
    #[must_use]
    pub const fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The first task, in the file's order, that can be dispatched.
    #[must_use]
    pub fn ready(&self) -> Option<usize> {
        self.ready.first().copied()
    }

    /// The first task that waits for a blocked one, and that one.
    #[must_use]
    pub fn in_vain(&self) -> Option<(usize, usize)> {
        let index = self.in_vain.first().copied()?;
        let blocked = |dependency: &&usize| {
            self.nodes
                .get(**dependency)
                .is_some_and(|node| node.status == Status::Blocked)
        };
        let blocker = self.nodes.get(index)?.after.iter().find(blocked)?;
        Some((index, *blocker))
    }

    /// Tasks done.
    #[must_use]
    pub const fn done(&self) -> usize {
        self.done
    }

    /// Tasks blocked.
    #[must_use]
    pub const fn blocked(&self) -> usize {
        self.blocked
    }

    /// Tasks neither done nor blocked.
    #[must_use]
    pub fn open(&self) -> usize {
        self.nodes.len() - self.done - self.blocked
    }

    pub(super) fn slot(&self, index: usize) -> Option<usize> {
        self.nodes.get(index).map(|node| node.slot)
    }

    /// A task's status changed.
    pub(super) fn set(&mut self, slot: usize, status: Status) {
        if let Some(index) = self.index(slot) {
            self.set_index(index, status);
        }
    }

    /// A task's attempt began or ended.
    pub(super) fn set_running(&mut self, slot: usize, running: bool) {
        if let Some(index) = self.index(slot) {
            if let Some(node) = self.nodes.get_mut(index) {
                node.running = running;
            }
            self.queue(index);
        }
    }

    /// The places of the tasks that are blocked because they wait for those at `edge`, directly or through others.
    pub(super) fn blocked_behind(&self, mut edge: Vec<usize>, tasks: &[TaskState]) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        while let Some(node) = edge.pop().and_then(|index| self.nodes.get(index)) {
            for next in &node.before {
                let waits = self.slot(*next).and_then(|slot| tasks.get(slot)?.cause) == Some(Cause::After);
                if waits && found.insert(*next) {
                    edge.push(*next);
                }
            }
        }
        found
    }

    pub(super) fn index(&self, slot: usize) -> Option<usize> {
        self.places
            .get(slot)
            .copied()
            .filter(|index| *index != usize::MAX)
    }

    fn set_index(&mut self, index: usize, status: Status) {
        let Some(node) = self.nodes.get_mut(index) else {
            return;
        };
        let before = std::mem::replace(&mut node.status, status);
        if before == status {
            return;
        }
        let dependents = std::mem::take(&mut node.before);
        self.count(before, status);
        for dependent in &dependents {
            if let Some(node) = self.nodes.get_mut(*dependent) {
                node.not_done = moved(node.not_done, status == Status::Done, before == Status::Done);
                node.blockers = moved(
                    node.blockers,
                    before == Status::Blocked,
                    status == Status::Blocked,
                );
            }
            self.queue(*dependent);
        }
        if let Some(node) = self.nodes.get_mut(index) {
            node.before = dependents;
        }
        self.queue(index);
    }

    fn count(&mut self, before: Status, after: Status) {
        self.done = moved(self.done, before == Status::Done, after == Status::Done);
        self.blocked = moved(self.blocked, before == Status::Blocked, after == Status::Blocked);
    }

    /// Puts a task into the queue that it belongs to now.
    fn queue(&mut self, index: usize) {
        let Some(node) = self.nodes.get(index) else {
            return;
        };
        let waits = node.status == Status::Pending && !node.running;
        let (ready, in_vain) = (waits && node.not_done == 0, waits && node.blockers > 0);
        place(&mut self.ready, index, ready);
        place(&mut self.in_vain, index, in_vain);
    }
}

fn place(queue: &mut BTreeSet<usize>, index: usize, belongs: bool) {
    if belongs {
        queue.insert(index);
    } else {
        queue.remove(&index);
    }
}

/// A count after one of its members may have left and another may have come.
fn moved(count: usize, leaves: bool, comes: bool) -> usize {
    (count + usize::from(comes)).saturating_sub(usize::from(leaves))
}
