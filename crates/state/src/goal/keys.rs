//! Every key that goal.json may hold, level by level: what a reader looks for, what a snapshot leaves out, what a
//! misspelt key is compared with.

/// What a key is to the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The operator's: part of what the goal is.
    Setting,
    /// The driver's: output.
    Progress,
    /// Of a later version. Refused, never ignored: a rule that is not enforced must not look as if it were.
    Later(&'static str),
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) role: Role,
    /// The keys of the object, or of each object of the list, that the key holds.
    pub(super) level: Option<&'static Level>,
}

/// The keys of one kind of object.
#[derive(Debug)]
pub(super) struct Level {
    /// What the object is called in a message.
    pub(super) name: &'static str,
    pub(super) keys: &'static [Key],
}

impl Level {
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The keys that an operator of this version may write.
    pub(super) fn settings(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().filter(|key| key.role == Role::Setting).map(|key| key.name)
    }
}

/// Whether a key is the operator's note: allowed everywhere, kept on rewrite, no part of what the goal is.
pub(super) fn is_note(name: &str) -> bool {
    name == "$schema" || name.starts_with('_') || name.starts_with("x-")
}

/// All kinds of object, for telling where a misplaced key belongs.
pub(super) const LEVELS: [&Level; 3] = [&GOAL, &CONTRACT, &BUDGET];

const fn setting(name: &'static str) -> Key {
    Key { name, role: Role::Setting, level: None }
}

const fn holding(name: &'static str, level: &'static Level) -> Key {
    Key { name, role: Role::Setting, level: Some(level) }
}

const fn progress(name: &'static str) -> Key {
    Key { name, role: Role::Progress, level: None }
}

const fn later(name: &'static str, feature: &'static str) -> Key {
    Key { name, role: Role::Later(feature), level: None }
}

pub(super) static GOAL: Level = Level {
    name: "goal.json",
    keys: &[
        setting("goal"),
        setting("repo"),
        setting("worker_cmd"),
        setting("verify_cmd"),
        setting("mode"),
        holding("contract", &CONTRACT),
        holding("budget", &BUDGET),
        setting("max_attempts"),
        setting("tick_seconds"),
        setting("worker_timeout_seconds"),
        setting("worker_idle_seconds"),
        setting("verify_timeout_seconds"),
        setting("isolation"),
        setting("env_pass"),
        setting("sandbox"),
        setting("max_parallel"),
        setting("deployment_id"),
        holding("tasks", &TASK),
        later("sandbox_write", "a sandbox"),
        later("agent", "presets of known agents"),
        later("audit_sink", "copies of governance records"),
        later("aar_priv", "signed records"),
        later("aar_tool", "signed records"),
        later("subject", "signed records"),
        later("principal", "signed records"),
        later("verifier", "signed records"),
        later("alerts", "channels for alerts"),
        progress("runs"),
        progress("wall_seconds_used"),
        progress("last_success_at"),
        Key { name: "checkpoint", role: Role::Progress, level: Some(&CHECKPOINT) },
    ],
};

pub(super) static CONTRACT: Level = Level {
    name: "contract",
    keys: &[
        setting("definition_of_done"),
        setting("constraints"),
        setting("owner"),
        setting("verification_requirements"),
        setting("acceptance_tests"),
        setting("immutable"),
        setting("autonomy_ceiling"),
        setting("irreversible_min_trust"),
        setting("proposed_by"),
        setting("ratified_by"),
        setting("expires"),
        holding("revoked", &REVOKED),
        later("scope", "a limit on the paths that a worker may change"),
        later("require_receipt", "signed ratification"),
        later("receipt", "signed ratification"),
    ],
};

pub(super) static REVOKED: Level =
    Level { name: "contract.revoked", keys: &[setting("by"), setting("at"), setting("reason")] };

pub(super) static BUDGET: Level = Level {
    name: "budget",
    keys: &[
        setting("max_worker_runs"),
        setting("max_wall_seconds"),
        setting("max_tokens"),
        setting("max_usd"),
        setting("max_output_bytes"),
    ],
};

pub(super) static TASK: Level = Level {
    name: "a task",
    keys: &[
        setting("id"),
        setting("goal"),
        setting("reversible"),
        setting("after"),
        setting("worker_cmd"),
        setting("verify_cmd"),
        setting("max_attempts"),
        setting("worker_timeout_seconds"),
        later("scope", "a limit on the paths that a worker may change"),
        later("immutable", "protected paths"),
        progress("status"),
        progress("attempts"),
        progress("started"),
        progress("done"),
        progress("reason"),
        progress("verify_tail"),
        progress("commit"),
    ],
};

pub(super) static CHECKPOINT: Level =
    Level { name: "checkpoint", keys: &[setting("seq"), setting("hash")] };
