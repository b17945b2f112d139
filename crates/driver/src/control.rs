//! What an operator asks of a driver that runs: one small file each in `control/`, which can only ask for less.
//!
//! Whoever works for the driver runs as the same user and can write there too. So nothing in a file gives leave for
//! anything: a halt and a dial that is turned down are carried out, whatever else lies there is moved aside and recorded.

mod desk;
mod folder;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::Path;

use machine_driver_state::canonical::sha256;
use machine_driver_state::event::{OverrideKind, RequestId};
use machine_driver_state::strict;
use machine_driver_state::time::Timestamp;
use serde_json::{Map, Value, json};

use crate::outcome::shortened;

pub(crate) use desk::{Desk, Found, Noted};
pub(crate) use folder::{Folder, Standing};

/// The largest request that is read, in bytes.
pub(crate) const BYTES_MAX: u64 = 64 << 10;

/// Characters of a name and of a reason that are kept.
const BY_CHARS: usize = 120;
const REASON_CHARS: usize = 600;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) id: RequestId,
    pub(crate) kind: OverrideKind,
    pub(crate) by: String,
    pub(crate) reason: String,
    pub(crate) asked_at: Timestamp,
}

impl Request {
    /// A new one. Its texts are cut, and control characters left out.
    pub(crate) fn new(kind: OverrideKind, by: &str, reason: &str, asked_at: Timestamp) -> Self {
        let (by, reason) = cleaned(by, reason);
        Self {
            id: new_id(asked_at),
            kind,
            by,
            reason,
            asked_at,
        }
    }

    /// As it is written.
    pub(crate) fn text(&self) -> String {
        let mut fields = Map::new();
        fields.insert("id".into(), self.id.as_str().into());
        match self.kind {
            OverrideKind::Dial => {
                fields.insert("kind".into(), "dial".into());
                fields.insert("mode".into(), "propose".into());
            }
            _ => {
                fields.insert("kind".into(), "halt".into());
            }
        }
        fields.insert("by".into(), self.by.as_str().into());
        fields.insert("reason".into(), self.reason.as_str().into());
        fields.insert("asked_at".into(), json!(self.asked_at));
        format!("{}\n", Value::Object(fields))
    }

    /// Reads one that lies under the name of `id`.
    ///
    /// # Errors
    /// What it is instead, as a clause.
    pub(crate) fn read(id: &RequestId, bytes: &[u8]) -> Result<Self, String> {
        let mut fields = strict::object(bytes).map_err(|_| "it is not one JSON object".to_owned())?;
        let kind = kind_of(&mut fields)?;
        let named = text(&mut fields, "id")?;
        if named != id.as_str() {
            return Err("its id is not its name".into());
        }
        let (by, reason) = (text(&mut fields, "by")?, text(&mut fields, "reason")?);
        let asked_at =
            Timestamp::parse(&text(&mut fields, "asked_at")?).map_err(|error| error.to_string())?;
        if let Some(key) = fields.keys().next() {
            return Err(format!("it has an unknown key `{}`", shortened(key, 40)));
        }
        let (by, reason) = cleaned(&by, &reason);
        Ok(Self {
            id: id.clone(),
            kind,
            by,
            reason,
            asked_at,
        })
    }
}

/// The requests that lie in `control/` while no driver runs, the oldest first. What else lies there is for a driver to see.
pub(crate) fn pending(control: &Path) -> Vec<Request> {
    let Ok(folder) = Folder::open(control) else {
        return Vec::new();
    };
    let names = folder
        .names(desk::NAMES_MAX)
        .map_or_else(|_| Vec::new(), |(names, _)| names);
    let read = |name: &std::ffi::OsString| {
        let id = folder::id_of(name)?;
        Request::read(&id, &folder.read(name).ok()?).ok()
    };
    let mut requests: Vec<Request> = names.iter().filter_map(read).take(desk::NOTED_MAX).collect();
    requests.sort_by(|one, other| (one.asked_at, &one.id).cmp(&(other.asked_at, &other.id)));
    requests.dedup_by(|one, other| one.id == other.id);
    requests
}

fn kind_of(fields: &mut Map<String, Value>) -> Result<OverrideKind, String> {
    match text(fields, "kind")?.as_str() {
        "halt" => Ok(OverrideKind::Halt),
        "dial" => match text(fields, "mode")?.as_str() {
            "propose" => Ok(OverrideKind::Dial),
            mode => Err(format!("it turns the dial to `{}`", shortened(mode, 40))),
        },
        kind => Err(format!("it asks for `{}`", shortened(kind, 40))),
    }
}

fn text(fields: &mut Map<String, Value>, key: &str) -> Result<String, String> {
    match fields.remove(key) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(format!("it has no text `{key}`")),
    }
}

/// Who and why as they are kept: cut, and without control characters.
pub(crate) fn cleaned(by: &str, reason: &str) -> (String, String) {
    (
        shortened(by.trim(), BY_CHARS),
        shortened(reason.trim(), REASON_CHARS),
    )
}

/// An id that no other request has. Nobody has to be unable to guess it: it gives no leave for anything.
fn new_id(asked_at: Timestamp) -> RequestId {
    let chance = || RandomState::new().build_hasher().finish();
    let seed = format!("{} {asked_at} {} {}", std::process::id(), chance(), chance());
    let digest = sha256(seed.as_bytes()).to_string();
    #[expect(
        clippy::expect_used,
        reason = "a digest is 64 lower-case hex digits, so its first half is an id"
    )]
    RequestId::new(digest.get(..RequestId::LENGTH).unwrap_or_default()).expect("half a digest")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: OverrideKind) -> Request {
        Request::new(
            kind,
            " ann\u{1b}[2J ",
            "smoke\nin the room",
            Timestamp::from_millis(7),
        )
    }

    #[test]
    fn what_is_written_is_read() {
        for kind in [OverrideKind::Halt, OverrideKind::Dial] {
            let request = request(kind);
            assert_eq!(
                (request.by.as_str(), request.reason.as_str()),
                ("ann[2J", "smokein the room")
            );
            assert_eq!(
                Request::read(&request.id, request.text().as_bytes()),
                Ok(request.clone())
            );
            assert_ne!(request.id, self::request(kind).id);
        }
    }

    #[test]
    fn it_can_only_ask_for_less() {
        let request = request(OverrideKind::Halt);
        let halt: Value = serde_json::from_str(&request.text()).unwrap();
        let check = |change: &dyn Fn(&mut Value), says: &str| {
            let mut forged = halt.clone();
            change(&mut forged);
            let why = Request::read(&request.id, forged.to_string().as_bytes()).unwrap_err();
            assert!(why.contains(says), "{why}");
        };
        check(&|forged| forged["kind"] = "resume".into(), "it asks for `resume`");
        check(
            &|forged| forged["kind"] = "approve".into(),
            "it asks for `approve`",
        );
        check(
            &|forged| forged["kind"] = "task_add".into(),
            "it asks for `task_add`",
        );
        check(&|forged| forged["kind"] = "dial".into(), "no text `mode`");
        let up = |forged: &mut Value| {
            forged["kind"] = "dial".into();
            forged["mode"] = "commit".into();
        };
        check(&up, "it turns the dial to `commit`");
        check(&|forged| forged["mode"] = "propose".into(), "unknown key `mode`");
        check(
            &|forged| forged["id"] = "00".repeat(16).into(),
            "its id is not its name",
        );
        check(&|forged| forged["by"] = 7.into(), "no text `by`");
        check(&|forged| forged["asked_at"] = "now".into(), "not a time");
        for garbage in ["", "[]", "{", "{\"kind\":\"halt\",\"kind\":\"halt\"}", "\u{0}"] {
            assert!(
                Request::read(&request.id, garbage.as_bytes()).is_err(),
                "{garbage:?}"
            );
        }
    }
}
