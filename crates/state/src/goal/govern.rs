//! What commands set in a goal.json: the dial, and who ratified or revoked the contract.

use serde_json::Value;

use super::file::{GoalError, GoalFile};
use super::read::Found;
use super::{Mode, rewrite};

/// What commands may set in a goal.json. Outside: whether it is set at all; inside: its value, or none to take it out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Governance {
    /// The operator's dial.
    pub mode: Option<Mode>,
    /// `contract.ratified_by`.
    pub ratified_by: Option<Option<Value>>,
    /// `contract.receipt`.
    pub receipt: Option<Option<Value>>,
    /// `contract.revoked`.
    pub revoked: Option<Option<Value>>,
}

impl GoalFile {
    /// The file with these settings in place of its own, checked by the same rules; the rest stays as it is, as in
    /// [`render`](Self::render).
    ///
    /// # Errors
    /// [`GoalError`] as from [`parse`](Self::parse), and where there is no contract to set something of.
    pub fn with_governance(&self, settings: &Governance) -> Result<Self, GoalError> {
        let mut source = self.source().to_owned();
        if let Some(mode) = settings.mode {
            let mode = match mode {
                Mode::Propose => "propose",
                Mode::Commit => "commit",
            };
            source = rewrite::with_members(&source, None, &[("mode", Some(mode.into()))]).unwrap_or(source);
        }
        let contract = [
            ("ratified_by", &settings.ratified_by),
            ("receipt", &settings.receipt),
            ("revoked", &settings.revoked),
        ];
        let members: Vec<rewrite::Member<'_>> = contract
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?)))
            .collect();
        if !members.is_empty() {
            source = rewrite::with_members(&source, Some("contract"), &members).ok_or_else(|| {
                let message = "there is no contract".to_owned();
                let help = "write one: who proposed it, what may be done, what counts as done".to_owned();
                self.refuse(None, "contract", message, Some(help))
            })?;
        }
        Self::read(source, self.path(), Found::Before(self.goal()))
    }

    /// The file with the settings that a command had set in this snapshot of it: a command was killed before it wrote them.
    ///
    /// # Errors
    /// As from [`with_governance`](Self::with_governance).
    pub fn with_governance_of(&self, snapshot: &Value) -> Result<Self, GoalError> {
        let contract = snapshot.get("contract").filter(|contract| contract.is_object());
        let member = |name| contract.map(|contract| contract.get(name).cloned());
        let is_commit = snapshot.get("mode").and_then(Value::as_str) == Some("commit");
        let mode = if is_commit { Mode::Commit } else { Mode::Propose };
        self.with_governance(&Governance {
            mode: (mode != self.goal().mode).then_some(mode),
            ratified_by: member("ratified_by"),
            receipt: member("receipt"),
            revoked: member("revoked"),
        })
    }
}
