//! Why a sink that was asked for cannot be had.

use std::io;
use std::path::PathBuf;

/// Why a sink that was asked for cannot be set up. It names the setting, the variable or the path, never the value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// Telegram has a chat but no token.
    #[error("alerts go to Telegram, but there is no token")]
    NoToken,
    /// Telegram has a token but no chat.
    #[error("there is a Telegram token, but no chat to send alerts to")]
    NoChat,
    /// A variable and its `_FILE` form are both set.
    #[error("`{variable}` and `{variable}_FILE` are both set")]
    Both {
        /// The variable.
        variable: &'static str,
    },
    /// A value is not of the form that it needs.
    #[error("{place}: {problem}")]
    Malformed {
        /// The setting, the variable or the file.
        place: String,
        /// What is wrong with it, without the value.
        problem: &'static str,
    },
    /// A file could not be read.
    #[error("could not read {}, which {place} names", path.display())]
    Read {
        /// The setting or the variable that names the file.
        place: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not one that a secret is read from.
    #[error("{}, which {place} names, {problem}", path.display())]
    Unfit {
        /// The setting or the variable that names the file.
        place: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Others than its owner may use a file that holds a secret.
    #[error("{}, which {place} names, is open to others (mode {mode:03o})", path.display())]
    Exposed {
        /// The setting or the variable that names the file.
        place: String,
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// This build does not have the sink.
    #[error("alerts go to {sink}, but this build cannot send there")]
    NotBuilt {
        /// The sink, which is also the name of its feature.
        sink: &'static str,
    },
}

impl SetupError {
    /// What to do about it, as a sentence without its full stop.
    #[must_use]
    pub fn next_step(&self) -> String {
        match self {
            Self::NoToken => "set `TELEGRAM_BOT_TOKEN`, or `TELEGRAM_BOT_TOKEN_FILE` to the path of a file that holds it, \
                              or `alerts.telegram.token_file`; @BotFather gives tokens"
                .to_owned(),
            Self::NoChat => "set `TELEGRAM_CHAT_ID` or `alerts.telegram.chat_ids`; or, if the token is for something else, \
                             start without `TELEGRAM_BOT_TOKEN`"
                .to_owned(),
            Self::Both { variable } => format!("unset one of `{variable}` and `{variable}_FILE`"),
            Self::Malformed { place, .. } => format!("correct {place}"),
            Self::Read { path, .. } => format!("check that {} is there and yours to read", path.display()),
            Self::Unfit { path, .. } => format!("put a plain file of at most 4 KiB at {}", path.display()),
            Self::Exposed { path, .. } => format!("chmod 600 {}", path.display()),
            Self::NotBuilt { sink } => {
                format!("build with the feature `{sink}`, or take `{sink}` out of the settings and the environment")
            }
        }
    }
}
