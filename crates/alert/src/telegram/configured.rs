//! Telegram as the settings and the environment have it.

use std::ffi::OsString;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::secret;
use crate::settings::{CHAT, Env, TOKEN, TelegramSettings, variable};
use crate::setup::SetupError;

use super::{API_URL, Telegram, malformed};

/// The variable that names a Bot API server of one's own.
const API: &str = "TELEGRAM_API_URL";

/// The sink, if the settings or the environment ask for it. What the settings name wins.
pub(crate) fn configured(
    settings: Option<&TelegramSettings>,
    env: Env<'_>,
) -> Result<Option<Telegram>, SetupError> {
    let token = token(settings, env)?;
    let chats = chats(settings, env)?;
    let (token_place, token) = match (token, chats.is_empty()) {
        (None, true) if settings.is_none() => return Ok(None),
        (None, _) => return Err(SetupError::NoToken),
        (Some(_), true) => return Err(SetupError::NoChat),
        (Some(token), false) => token,
    };
    let api_url = match variable(env, API) {
        None => API_URL.to_owned(),
        Some(url) => text(API, url)?,
    };
    Telegram::checked(&token_place, &token, &chats, API, &api_url).map(Some)
}

type Token = (String, Zeroizing<String>);

/// The token and the place that it comes from.
fn token(settings: Option<&TelegramSettings>, env: Env<'_>) -> Result<Option<Token>, SetupError> {
    if let Some(path) = settings.and_then(|settings| settings.token_file.as_ref()) {
        let place = "alerts.telegram.token_file";
        return secret_text(place, path.clone()).map(Some);
    }
    let file = TOKEN.file(env);
    match (TOKEN.value(env), file) {
        (Some(_), Some(_)) => Err(SetupError::Both { variable: TOKEN.name }),
        (Some(token), None) => {
            let token = Zeroizing::new(text(TOKEN.name, token)?);
            Ok(Some((TOKEN.name.to_owned(), token)))
        }
        (None, Some(path)) => secret_text(TOKEN.file_name, path.into()).map(Some),
        (None, None) => Ok(None),
    }
}

fn secret_text(place: &str, path: PathBuf) -> Result<Token, SetupError> {
    let bytes = secret::private(place, &path)?;
    let named = format!("{} ({place})", path.display());
    // A copy that is wiped too; the bytes themselves are wiped when they go out of scope.
    let text = std::str::from_utf8(&bytes).map_err(|_| malformed(&named, NOT_TEXT))?;
    let text = Zeroizing::new(text.to_owned());
    Ok((named, text))
}

/// The chats, each with the place that it comes from.
fn chats(settings: Option<&TelegramSettings>, env: Env<'_>) -> Result<Vec<(String, String)>, SetupError> {
    let named = settings.map(|settings| &*settings.chat_ids).unwrap_or_default();
    if !named.is_empty() {
        let place = |index| format!("alerts.telegram.chat_ids[{index}]");
        let chats = named.iter().enumerate();
        return Ok(chats.map(|(index, id)| (id.clone(), place(index))).collect());
    }
    let (place, list) = match (CHAT.value(env), CHAT.file(env)) {
        (Some(_), Some(_)) => return Err(SetupError::Both { variable: CHAT.name }),
        (Some(list), None) => (CHAT.name.to_owned(), text(CHAT.name, list)?),
        (None, Some(path)) => {
            let path = PathBuf::from(path);
            let bytes = secret::public(CHAT.file_name, &path)?;
            let named = format!("{} ({})", path.display(), CHAT.file_name);
            let list = String::from_utf8(bytes.to_vec()).map_err(|_| malformed(&named, NOT_TEXT))?;
            (named, list)
        }
        (None, None) => return Ok(Vec::new()),
    };
    let ids = list.split(',').map(str::trim);
    Ok(ids.map(|id| (id.to_owned(), place.clone())).collect())
}

const NOT_TEXT: &str = "it is not UTF-8";

fn text(name: &str, value: OsString) -> Result<String, SetupError> {
    value.into_string().map_err(|_| malformed(name, NOT_TEXT))
}
