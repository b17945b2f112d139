//! Every key that goal.json may hold, level by level, in one table: what a reader looks for, what a snapshot leaves
//! out, what a misspelt key is compared with, and the JSON Schema.

mod alerts;
mod contract;

pub(super) use alerts::{ALERTS, TELEGRAM, WEBHOOK};
pub(super) use contract::{CONTRACT, RECEIPT, REVOKED};

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

/// What may stand behind a key, as far as a schema can say it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Text,
    /// A text that is not blank.
    Words,
    /// A text that is not blank, of at most 256 bytes.
    Name,
    /// A text or a list of them.
    Prose,
    Texts,
    /// A text that is not blank, or a program and its arguments.
    Command,
    /// The same, and a blank text for none.
    MaybeCommand,
    Whole {
        least: u64,
        most: u64,
    },
    /// Seconds, of which there is at least a millisecond.
    Seconds,
    /// Seconds, or none at all.
    Pause,
    /// US dollars, at least a millionth.
    Usd,
    /// RFC 3339.
    Moment,
    /// A moment in the driver's spelling or the original's.
    AnyMoment,
    Flag,
    TaskId,
    TaskIds,
    Digest,
    EnvNames,
    /// A program and its arguments.
    Argv,
    /// Chats of Telegram: numbers, or texts such as `@channel`.
    ChatIds,
    /// A decentralized identifier.
    Did,
    /// Globs over paths of the repository.
    Globs,
    /// Such globs behind `path:`.
    PathRules,
    /// Names of fields of the contract, and globs behind `path:`.
    Immutable,
    /// A file, or a program and its arguments.
    Sink,
    /// Ed25519, base64url without padding.
    Signature,
    OneOf(&'static [&'static str]),
    Object(&'static Level),
    Objects(&'static Level),
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) role: Role,
    pub(super) shape: Shape,
    pub(super) is_required: bool,
    /// Whether `null` says something other than a mistake.
    pub(super) is_nullable: bool,
    /// Whether the contract's digest leaves it out: it says who agrees and who is told, not what is done.
    pub(super) is_beside_contract: bool,
    /// For the schema.
    pub(super) about: &'static str,
}

impl Key {
    /// The keys of the object, or of each object of the list, that the key holds.
    pub(super) fn level(&self) -> Option<&'static Level> {
        match self.shape {
            Shape::Object(level) | Shape::Objects(level) => Some(level),
            _ => None,
        }
    }

    const fn required(self) -> Self {
        Self {
            is_required: true,
            ..self
        }
    }

    const fn or_null(self) -> Self {
        Self {
            is_nullable: true,
            ..self
        }
    }

    const fn beside_contract(self) -> Self {
        Self {
            is_beside_contract: true,
            ..self
        }
    }
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
        self.keys
            .iter()
            .filter(|key| key.role == Role::Setting)
            .map(|key| key.name)
    }
}

/// Whether a key is the operator's note: allowed everywhere, kept on rewrite, no part of what the goal is.
pub(super) fn is_note(name: &str) -> bool {
    name == "$schema" || name.starts_with('_') || name.starts_with("x-")
}

/// All kinds of object, for telling where a misplaced key belongs.
pub(super) const LEVELS: [&Level; 7] = [&GOAL, &CONTRACT, &RECEIPT, &BUDGET, &ALERTS, &TELEGRAM, &WEBHOOK];

const WHOLE: u64 = super::node::WHOLE_MAX;
const COUNT: Shape = Shape::Whole {
    least: 1,
    most: WHOLE,
};
const NATURAL: Shape = Shape::Whole {
    least: 0,
    most: WHOLE,
};
const ATTEMPTS: Shape = Shape::Whole { least: 1, most: 100 };

const fn setting(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key {
        name,
        role: Role::Setting,
        shape,
        is_required: false,
        is_nullable: false,
        is_beside_contract: false,
        about,
    }
}

/// What the driver writes may be `null` anywhere: the original wrote it so.
const fn progress(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key {
        role: Role::Progress,
        ..setting(name, shape, about)
    }
    .or_null()
}

const fn later(name: &'static str, feature: &'static str) -> Key {
    Key {
        role: Role::Later(feature),
        ..setting(name, Shape::Text, "")
    }
}

pub(super) static GOAL: Level = Level {
    name: "goal.json",
    keys: &[
        setting("goal", Shape::Name, "Name of the goal; goes into records and keys. Default: goal."),
        setting("repo", Shape::Words, "The folder that is worked on; relative to the folder of this file, `~` expands.").required(),
        setting("worker_cmd", Shape::Command, "The coding agent, one fresh process per attempt. {task}, {task_id}, {attempt}, {feedback}, {feedback_file}, {task_file} and {goal_file} are replaced, never parsed.").required(),
        setting("verify_cmd", Shape::MaybeCommand, "Ground truth: its exit code decides. Absent, null or blank: nothing can pass.").or_null(),
        setting("mode", Shape::OneOf(&["propose", "commit"]), "The operator's dial. Default: propose.").beside_contract(),
        setting("contract", Shape::Object(&CONTRACT), "Box 0: what is to be reached, and who says so.").or_null(),
        setting("budget", Shape::Object(&BUDGET), "The governor's limits over the whole life of the goal; a breach halts.").or_null(),
        setting("max_attempts", ATTEMPTS, "Failed verifies before a task is quarantined. Default: 3."),
        setting("tick_seconds", Shape::Pause, "Pause between attempts. Default: 1."),
        setting("worker_timeout_seconds", Shape::Seconds, "Wall limit of one worker; null: none. Default: 7200.").or_null(),
        setting("worker_idle_seconds", Shape::Seconds, "Stop a worker that wrote nothing for so long. Default: none.").or_null(),
        setting("verify_timeout_seconds", Shape::Seconds, "Wall limit of one verify; null: none. Default: 3600.").or_null(),
        setting("isolation", Shape::OneOf(&["in_place"]), "Where the worker works; this version knows one place."),
        setting("env_pass", Shape::EnvNames, "Names of variables (`*` matches any run of characters) to let through that are otherwise taken out of the environment of worker and verifier.").or_null(),
        setting("sandbox", Shape::OneOf(&["off"]), "This version has no sandbox."),
        setting("max_parallel", Shape::Whole { least: 1, most: 1 }, "This version does one task at a time."),
        setting("deployment_id", Shape::Name, "Carried by every record. Default: derived from the goal's name.").or_null(),
        setting("alerts", Shape::Object(&ALERTS), "How a person is told. Default: Telegram where TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID are set; printed otherwise.").or_null().beside_contract(),
        setting("tasks", Shape::Objects(&TASK), "The tasks; their order and `after` are the only order.").required(),
        later("sandbox_write", "a sandbox"),
        later("agent", "presets of known agents"),
        setting("audit_sink", Shape::Sink, "Where copies of governance records go, outside of what a halt stops: a file, or a program and its arguments.").or_null(),
        setting("aar_priv", Shape::Words, "The private key that signs records about resolved tasks (JWK, OKP Ed25519), readable by you alone.").or_null(),
        setting("aar_tool", Shape::Words, "An external signer, a path to aar.mjs: run as `node TOOL sign FILE --priv KEY`. Default: built in.").or_null(),
        setting("subject", Shape::Did, "Who is attested: the worker.").or_null(),
        setting("principal", Shape::Did, "Who signs.").or_null(),
        setting("verifier", Shape::Did, "Who verified. Default: the principal with `:verifier`; never the subject.").or_null(),
        progress("runs", NATURAL, "Workers started."),
        progress("wall_seconds_used", Shape::Pause, "Time with the driver up."),
        progress("last_success_at", Shape::AnyMoment, "When a task last passed."),
        progress("checkpoint", Shape::Object(&CHECKPOINT), "The log record that the progress was folded from."),
    ],
};

pub(super) static BUDGET: Level = Level {
    name: "budget",
    keys: &[
        setting("max_worker_runs", COUNT, "Workers started.").or_null(),
        setting("max_wall_seconds", Shape::Seconds, "Seconds with the driver up.").or_null(),
        setting("max_tokens", COUNT, "Tokens that workers report.").or_null(),
        setting(
            "max_usd",
            Shape::Usd,
            "US dollars that workers report, to the millionth.",
        )
        .or_null(),
        setting(
            "max_output_bytes",
            COUNT,
            "Bytes that workers write to their output.",
        )
        .or_null(),
    ],
};

pub(super) static TASK: Level = Level {
    name: "a task",
    keys: &[
        setting("id", Shape::TaskId, "Unique in the goal.").required(),
        setting(
            "goal",
            Shape::Words,
            "What to do, in your words. Data, never syntax.",
        )
        .required(),
        setting(
            "reversible",
            Shape::Flag,
            "Whether what the task does can be undone. Default: false.",
        ),
        setting(
            "after",
            Shape::TaskIds,
            "Ids of the tasks that must be done before.",
        )
        .or_null(),
        setting("worker_cmd", Shape::Command, "In place of the goal's.").or_null(),
        setting(
            "verify_cmd",
            Shape::MaybeCommand,
            "In place of the goal's; null or blank: the goal's.",
        )
        .or_null(),
        setting("max_attempts", ATTEMPTS, "In place of the goal's."),
        setting(
            "worker_timeout_seconds",
            Shape::Seconds,
            "In place of the goal's; null: no limit.",
        )
        .or_null(),
        setting(
            "scope",
            Shape::Globs,
            "The only paths that a worker may change for this task; what the contract's scope leaves out stays out.",
        )
        .or_null(),
        setting(
            "immutable",
            Shape::PathRules,
            "More files that a worker may not change, add or delete: `path:GLOB`.",
        )
        .or_null(),
        progress(
            "status",
            Shape::OneOf(&["pending", "running", "done", "blocked"]),
            "How far it is. Default: pending. While the driver is stopped, a task may be set back to it.",
        ),
        progress("attempts", NATURAL, "Attempts begun."),
        progress("started", Shape::AnyMoment, "When the last attempt began."),
        progress("done", Shape::AnyMoment, "When it passed."),
        progress("reason", Shape::Text, "Why it is blocked."),
        progress(
            "verify_tail",
            Shape::Text,
            "The end of what the last failed verify wrote.",
        ),
        progress("commit", Shape::Text, "The commit that holds it."),
    ],
};

pub(super) static CHECKPOINT: Level = Level {
    name: "checkpoint",
    keys: &[
        setting("seq", NATURAL, "Number of the record.").required(),
        setting("hash", Shape::Digest, "Hash of the record.").required(),
    ],
};
