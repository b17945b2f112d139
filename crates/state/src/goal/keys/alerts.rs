//! The keys of `alerts`.

use super::{Level, Shape, later, setting};

pub(in crate::goal) static ALERTS: Level = Level {
    name: "alerts",
    keys: &[
        setting("telegram", Shape::Object(&TELEGRAM), "A bot of Telegram.").or_null(),
        setting(
            "webhook",
            Shape::Object(&WEBHOOK),
            "An HTTP endpoint that gets a POST.",
        )
        .or_null(),
        setting(
            "command",
            Shape::Argv,
            "A program and its arguments; the alert comes as JSON on its standard input.",
        )
        .or_null(),
        later("ack_within_seconds", "acknowledgement of alerts"),
    ],
};

pub(in crate::goal) static TELEGRAM: Level = Level {
    name: "alerts.telegram",
    keys: &[
        setting(
            "chat_ids",
            Shape::ChatIds,
            "The chats that are told. Default: TELEGRAM_CHAT_ID.",
        )
        .or_null(),
        setting(
            "token_file",
            Shape::Words,
            "The file that holds the bot's token, readable by you alone. Default: TELEGRAM_BOT_TOKEN.",
        )
        .or_null(),
        later("user_ids", "acknowledgement of alerts"),
    ],
};

pub(in crate::goal) static WEBHOOK: Level = Level {
    name: "alerts.webhook",
    keys: &[
        setting(
            "url",
            Shape::Words,
            "Where to, beginning with https:// or http://.",
        )
        .required(),
        setting(
            "secret_file",
            Shape::Words,
            "The file that holds the key of the signature, readable by you alone. Default: not signed.",
        )
        .or_null(),
    ],
};
