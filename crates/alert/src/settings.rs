//! Which sinks there are, from what the goal file says and what the environment holds.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::port::Alerter;
use crate::setup::SetupError;

/// `alerts` of a goal file. Paths are absolute, or relative to the current folder: whoever reads the goal file anchors
/// them to its folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `alerts.telegram`; without it Telegram can still be asked for by the environment.
    pub telegram: Option<TelegramSettings>,
    /// `alerts.webhook`
    pub webhook: Option<WebhookSettings>,
    /// `alerts.command`: a program and its arguments. No shell reads them.
    pub command: Option<Vec<String>>,
}

/// `alerts.telegram` of a goal file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TelegramSettings {
    /// Chats that get every alert; empty: `TELEGRAM_CHAT_ID` names them.
    pub chat_ids: Vec<String>,
    /// A file that holds the token; none: `TELEGRAM_BOT_TOKEN` does.
    pub token_file: Option<PathBuf>,
}

/// `alerts.webhook` of a goal file. Its `Debug` form leaves the URL out, which often is a secret in itself.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// Where alerts are posted to.
    pub url: String,
    /// A file that holds the key of the signature; none: nothing is signed.
    pub secret_file: Option<PathBuf>,
}

impl fmt::Debug for WebhookSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSettings")
            .field("secret_file", &self.secret_file)
            .finish_non_exhaustive()
    }
}

/// Where variables are looked up: `&|name| std::env::var_os(name)`.
pub(crate) type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The sinks that the settings and the environment ask for, in the order `telegram`, `webhook`, `command`. None asked
/// for: none given; the caller then prints alerts ([`Printed`](crate::Printed)).
///
/// Telegram needs no settings: `TELEGRAM_BOT_TOKEN` and `TELEGRAM_CHAT_ID` (several, with commas between them) are enough,
/// or files that `TELEGRAM_BOT_TOKEN_FILE` and `TELEGRAM_CHAT_ID_FILE` name. What the settings name wins. An empty variable
/// counts as unset. `TELEGRAM_API_URL` names a Bot API server of one's own.
///
/// # Errors
/// [`SetupError`] for a sink that is asked for and cannot be had: it is never left out silently.
pub fn sinks(
    settings: &Settings,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Vec<Arc<dyn Alerter>>, SetupError> {
    let all = [telegram(settings, env)?, webhook(settings)?, command(settings)?];
    Ok(all.into_iter().flatten().collect())
}

type Sink = Option<Arc<dyn Alerter>>;

/// A variable, or the file that its `_FILE` form names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Variable {
    pub(crate) name: &'static str,
    pub(crate) file_name: &'static str,
}

/// The token of the bot.
pub(crate) const TOKEN: Variable = Variable {
    name: "TELEGRAM_BOT_TOKEN",
    file_name: "TELEGRAM_BOT_TOKEN_FILE",
};

/// The chats, with commas between them.
#[cfg(feature = "telegram")]
pub(crate) const CHAT: Variable = Variable {
    name: "TELEGRAM_CHAT_ID",
    file_name: "TELEGRAM_CHAT_ID_FILE",
};

impl Variable {
    pub(crate) fn value(self, env: Env<'_>) -> Option<OsString> {
        variable(env, self.name)
    }

    pub(crate) fn file(self, env: Env<'_>) -> Option<OsString> {
        variable(env, self.file_name)
    }
}

/// A variable that is set and not empty.
pub(crate) fn variable(env: Env<'_>, name: &str) -> Option<OsString> {
    env(name).filter(|value| !value.is_empty())
}

#[cfg(feature = "telegram")]
fn telegram(settings: &Settings, env: Env<'_>) -> Result<Sink, SetupError> {
    let sink = crate::telegram::configured(settings.telegram.as_ref(), env)?;
    Ok(sink.map(|sink| Arc::new(sink) as Arc<dyn Alerter>))
}

#[cfg(not(feature = "telegram"))]
fn telegram(settings: &Settings, env: Env<'_>) -> Result<Sink, SetupError> {
    let asked = settings.telegram.is_some() || TOKEN.value(env).or(TOKEN.file(env)).is_some();
    not_built(asked, "telegram")
}

#[cfg(feature = "webhook")]
fn webhook(settings: &Settings) -> Result<Sink, SetupError> {
    let Some(settings) = &settings.webhook else {
        return Ok(None);
    };
    let secret = settings.secret_file.as_deref();
    let secret = secret.map(|path| crate::secret::private("alerts.webhook.secret_file", path));
    let secret = secret.transpose()?;
    let sink = crate::Webhook::new(&settings.url, secret.as_ref().map(|secret| secret.as_slice()))?;
    Ok(Some(Arc::new(sink)))
}

#[cfg(not(feature = "webhook"))]
fn webhook(settings: &Settings) -> Result<Sink, SetupError> {
    not_built(settings.webhook.is_some(), "webhook")
}

#[cfg(feature = "command")]
fn command(settings: &Settings) -> Result<Sink, SetupError> {
    let Some(argv) = &settings.command else {
        return Ok(None);
    };
    Ok(Some(Arc::new(crate::CommandAlerter::new(argv)?)))
}

#[cfg(not(feature = "command"))]
fn command(settings: &Settings) -> Result<Sink, SetupError> {
    not_built(settings.command.is_some(), "command")
}

#[cfg(not(all(feature = "telegram", feature = "webhook", feature = "command")))]
fn not_built(asked: bool, sink: &'static str) -> Result<Sink, SetupError> {
    if asked {
        Err(SetupError::NotBuilt { sink })
    } else {
        Ok(None)
    }
}
