//! The sink that writes to Telegram chats through the Bot API, <https://core.telegram.org/bots/api#sendmessage>.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use machine_driver_state::alert::{Alert, AlertId};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::error::AlertError;
use crate::http::{self, Answer, Client};
use crate::port::Alerter;
use crate::setup::SetupError;
use crate::text::{line, message};

mod configured;
mod pace;

pub(crate) use configured::configured;

use pace::Pace;

/// Where the Bot API is, unless `TELEGRAM_API_URL` names a server of one's own.
pub const API_URL: &str = "https://api.telegram.org";

/// The most UTF-16 units of a message; the Bot API takes 4,096.
const UNITS_MAX: usize = 4000;

/// The most chats of one sink.
const CHATS_MAX: usize = 20;

/// The most alerts for which it is remembered which chats have them.
const REMEMBERED_MAX: usize = 100_000;

/// Sends each alert to every one of its chats as plain text, without link previews.
///
/// An alert counts as sent when all chats have it; within this process those that have it do not get it again. Each chat
/// gets at most one message per second, a group at most 20 per minute (the Bot API's own limits): where that needs time,
/// [`AlertError::Paced`] says how much, and nothing is slept through.
///
/// The token stands in the URL of every call. It is never part of an error or a `Debug` form, and this copy of it is
/// wiped when the sink is dropped. (The crate `ureq` writes the path of a URL to a `log` logger if one is installed at its
/// most verbose level, trace.)
pub struct Telegram {
    client: Client,
    token: Zeroizing<String>,
    url: Zeroizing<String>,
    chats: Vec<String>,
    memory: Mutex<Memory>,
}

struct Memory {
    /// For each chat.
    paces: Vec<Pace>,
    /// The chats that have an alert which others do not have yet.
    partly: BTreeMap<AlertId, BTreeSet<usize>>,
}

impl Telegram {
    /// A sink for these chats: numbers, or `@name` for a public channel. `api_url` is [`API_URL`], or a server of one's
    /// own: https, or http on this machine.
    ///
    /// # Errors
    /// [`SetupError`] when the token, a chat or the URL is malformed, or there is no chat, or more than 20.
    pub fn new(token: &str, chat_ids: &[String], api_url: &str) -> Result<Self, SetupError> {
        let places: Vec<_> = chat_ids
            .iter()
            .map(|id| (id.clone(), "chat_ids".to_owned()))
            .collect();
        Self::checked("the token", token, &places, "the API's URL", api_url)
    }

    /// [`Self::new`], with the names of the places that the values come from.
    fn checked(
        token_place: &str,
        token: &str,
        chat_ids: &[(String, String)],
        api_place: &str,
        api_url: &str,
    ) -> Result<Self, SetupError> {
        if !is_token(token) {
            let problem = "it is not a bot token, which is digits, a colon, and letters, digits, `_` and `-`";
            return Err(malformed(token_place, problem));
        }
        let mut chats: Vec<String> = Vec::new();
        for (id, place) in chat_ids {
            if !is_chat(id) {
                let problem = "a chat is a number such as -1001234567890, or @name for a public channel";
                return Err(malformed(place, problem));
            }
            if !chats.contains(id) {
                chats.push(id.clone());
            }
            if chats.len() > CHATS_MAX {
                return Err(malformed(place, "these are more than 20 chats"));
            }
        }
        if chats.is_empty() {
            return Err(SetupError::NoChat);
        }
        let base = api_url.trim_end_matches('/');
        let uri = http::parse(base)
            .and_then(allowed)
            .map_err(|problem| malformed(api_place, problem))?;
        let paces = chats.iter().map(|chat| Pace::new(is_group(chat))).collect();
        let partly = BTreeMap::new();
        Ok(Self {
            client: Client::new(&uri),
            token: Zeroizing::new(token.to_owned()),
            url: Zeroizing::new(format!("{base}/bot{token}/sendMessage")),
            chats,
            memory: Mutex::new(Memory { paces, partly }),
        })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The chats that do not have the alert yet, if all of them may get a message now.
    fn pending(&self, id: &AlertId, now: Instant) -> Result<Vec<usize>, AlertError> {
        let memory = self.memory();
        let has = memory.partly.get(id);
        let lacks = |index: &usize| !has.is_some_and(|has| has.contains(index));
        let pending: Vec<usize> = (0..self.chats.len()).filter(lacks).collect();
        let paces = pending.iter().filter_map(|index| memory.paces.get(*index));
        match paces.map(|pace| pace.wait(now)).max() {
            Some(after) if after > Duration::ZERO => Err(AlertError::Paced { after }),
            _ => Ok(pending),
        }
    }

    /// One message to one chat. The outer error is one of the way there, the same for every chat.
    fn post(&self, chat: &str, text: &str) -> Result<Result<(), AlertError>, AlertError> {
        let message = json!({
            "chat_id": chat,
            "text": text,
            "link_preview_options": { "is_disabled": true },
        });
        let mut answer = self.client.post(&self.url, &[], message.to_string().as_bytes())?;
        let body = self.client.body(&mut answer)?;
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Ok(self.judge(chat, &answer, &body))
    }

    fn judge(&self, chat: &str, answer: &Answer, body: &Value) -> Result<(), AlertError> {
        let status = answer.status;
        if (200..300).contains(&status) && body.get("ok") == Some(&Value::Bool(true)) {
            return Ok(());
        }
        let mut reason = format!("Telegram refused the message to chat {chat}: status {status}");
        if let Some(description) = body.get("description").and_then(Value::as_str) {
            // The far end may repeat the URL that it was asked for.
            let description = description.replace(&**self.token, "<token>");
            reason = format!("{reason}, {}", line(&description, 200));
        }
        if let Some(moved) = body
            .pointer("/parameters/migrate_to_chat_id")
            .and_then(Value::as_i64)
        {
            reason = format!("{reason}; the group's chat id is {moved} now");
        }
        let asked = body.pointer("/parameters/retry_after").and_then(Value::as_u64);
        let after = asked.map(Duration::from_secs).or(answer.retry_after);
        Err(match (status, after) {
            (429 | 503, Some(after)) => AlertError::wait(after, reason),
            (300..400, _) => AlertError::permanent(format!(
                "{} answers with a redirect, which is not followed",
                self.client.place()
            )),
            (401 | 404, _) => AlertError::permanent(format!("{reason}; is the token right?")),
            (408 | 429, _) => AlertError::temporary(reason),
            (400..500, _) => AlertError::permanent(reason),
            (200..300, _) => {
                AlertError::temporary(format!("{} does not answer as Telegram", self.client.place()))
            }
            _ => AlertError::temporary(reason),
        })
    }

    /// Notes that a chat has the alert; once all have it, there is nothing to remember.
    fn has(&self, id: &AlertId, index: usize) {
        let mut memory = self.memory();
        if memory.partly.len() >= REMEMBERED_MAX && !memory.partly.contains_key(id) {
            memory.partly.pop_first();
        }
        let has = memory.partly.entry(id.clone()).or_default();
        has.insert(index);
        if has.len() == self.chats.len() {
            memory.partly.remove(id);
        }
    }
}

impl Alerter for Telegram {
    fn name(&self) -> &str {
        "telegram"
    }

    fn send(&self, alert: &Alert) -> Result<(), AlertError> {
        let pending = self.pending(&alert.id, Instant::now())?;
        let text = message(alert, UNITS_MAX);
        let mut worst = Ok(());
        for index in pending {
            let Some(chat) = self.chats.get(index) else {
                continue;
            };
            if let Some(pace) = self.memory().paces.get_mut(index) {
                pace.sent(Instant::now());
            }
            match self.post(chat, &text) {
                Ok(Ok(())) => self.has(&alert.id, index),
                Ok(Err(error)) => worst = Err(sooner(worst, error)),
                Err(error) => return Err(sooner(worst, error)),
            }
        }
        worst
    }
}

impl fmt::Debug for Telegram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telegram")
            .field("api", &self.client.place())
            .field("chats", &self.chats)
            .finish_non_exhaustive()
    }
}

/// Of two errors the one that says how to go on: what was asked for, then what may work next time.
fn sooner(before: Result<(), AlertError>, error: AlertError) -> AlertError {
    let rank = |error: &AlertError| match error {
        AlertError::Wait { after, .. } => (2, *after),
        AlertError::Temporary { .. } => (1, Duration::ZERO),
        _ => (0, Duration::ZERO),
    };
    match before {
        Err(before) if rank(&before) >= rank(&error) => before,
        _ => error,
    }
}

/// A bot token: `123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11`.
fn is_token(text: &str) -> bool {
    let secret = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    text.split_once(':').is_some_and(|(bot, key)| {
        (1..=20).contains(&bot.len())
            && bot.bytes().all(|b| b.is_ascii_digit())
            && (20..=128).contains(&key.len())
            && key.bytes().all(secret)
    })
}

fn is_chat(id: &str) -> bool {
    let digits = |text: &str| (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    match id.strip_prefix('@') {
        Some(name) => (1..=64).contains(&name.len()) && name.bytes().all(word),
        None => digits(id.strip_prefix('-').unwrap_or(id)),
    }
}

/// Groups and channels have negative numbers or names.
fn is_group(chat: &str) -> bool {
    chat.starts_with(['-', '@'])
}

/// The token goes there: nobody on the way may read it, and nothing but a path may follow the host.
fn allowed(uri: ureq::http::Uri) -> Result<ureq::http::Uri, &'static str> {
    if http::userinfo(&uri).is_some() || uri.query().is_some() {
        return Err("it may hold no user name and no query");
    }
    if uri.scheme_str() != Some("https") && !http::is_loopback(&uri) {
        return Err("it has to be https://, or http:// on this machine");
    }
    Ok(uri)
}

fn malformed(place: &str, problem: &'static str) -> SetupError {
    let place = place.to_owned();
    SetupError::Malformed { place, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        assert!(is_token("123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11"));
        for bad in [
            "",
            "123456",
            ":ABC-DEF1234ghIkl-zyx57W2v1u123ew11",
            "123456:short",
            "12x456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11",
            "123456:ABC-DEF1234ghIkl/../zyx57W2v1u123",
            "123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11\n",
            "123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11?x=",
        ] {
            assert!(!is_token(bad), "{bad:?}");
        }
    }

    #[test]
    fn chats() {
        for good in ["1", "-1001234567890", "@my_channel"] {
            assert!(is_chat(good), "{good}");
        }
        for bad in ["", "-", "@", "1 ", "--1", "+1", "@a-b", "1\n", "x"] {
            assert!(!is_chat(bad), "{bad:?}");
        }
    }

    #[test]
    fn the_way_to_go_on_wins() {
        let wait = |seconds| AlertError::Wait {
            after: Duration::from_secs(seconds),
            reason: String::new(),
        };
        let (temporary, permanent) = (|| AlertError::temporary("t"), || AlertError::permanent("p"));
        assert!(matches!(
            sooner(Err(permanent()), temporary()),
            AlertError::Temporary { .. }
        ));
        assert!(matches!(
            sooner(Err(temporary()), permanent()),
            AlertError::Temporary { .. }
        ));
        let longer = sooner(Err(wait(2)), wait(5));
        assert_eq!(longer.retry_after(), Some(Duration::from_secs(5)));
        assert_eq!(
            sooner(Err(longer), permanent()).retry_after(),
            Some(Duration::from_secs(5))
        );
    }
}
