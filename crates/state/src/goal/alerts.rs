//! Reading `alerts`.

use std::path::PathBuf;

use super::keys;
use super::node::{Fields, Node};
use super::read::{Found, expand_home, read_argv};
use super::report::Report;
use super::{Alerts, AuditSink, Telegram, Webhook};

/// The most bytes that the name of a chat may have.
const CHAT_MAX: usize = 256;

pub(super) fn read_alerts(node: &Node<'_, '_>, found: &Found<'_>, report: &mut Report) -> Option<Alerts> {
    let fields = node.fields(&keys::ALERTS, report)?;
    let telegram = fields
        .optional("telegram")
        .and_then(|node| read_telegram(&node, found, report));
    let webhook = fields
        .optional("webhook")
        .and_then(|node| read_webhook(&node, found, report));
    let command = fields
        .optional("command")
        .and_then(|node| read_argv(&node, report));
    Some(Alerts {
        telegram,
        webhook,
        command,
    })
}

fn read_telegram(node: &Node<'_, '_>, found: &Found<'_>, report: &mut Report) -> Option<Telegram> {
    let fields = node.fields(&keys::TELEGRAM, report)?;
    let mut chat_ids = Vec::new();
    if let Some(node) = fields.optional("chat_ids")
        && let Some(items) = node.items(report)
    {
        if items.len() == 0 {
            let help = "name one, or remove the key to take TELEGRAM_CHAT_ID".to_owned();
            node.wrong(report, "there is no chat in it", Some(help));
        }
        for item in items {
            chat_ids.extend(read_chat(&item, report));
        }
    }
    Some(Telegram {
        chat_ids,
        token_file: read_path(&fields, "token_file", found, report),
    })
}

/// Telegram's own ids are numbers below 2^52 of either sign; public channels have names.
fn read_chat(item: &Node<'_, '_>, report: &mut Report) -> Option<String> {
    if item.is_text() {
        return item.name(CHAT_MAX, report).map(str::to_owned);
    }
    let number = item.number(report)?;
    if number.fract() != 0.0 || number.abs() > 9_007_199_254_740_991.0 || number == 0.0 {
        item.wrong(report, "expected the number of a chat, or its name", None);
        return None;
    }
    Some(format!("{number:.0}"))
}

fn read_webhook(node: &Node<'_, '_>, found: &Found<'_>, report: &mut Report) -> Option<Webhook> {
    let fields = node.fields(&keys::WEBHOOK, report)?;
    let secret_file = read_path(&fields, "secret_file", found, report);
    let url = fields.required("url", report)?;
    let text = url.words(report)?;
    if !text.starts_with("https://") && !text.starts_with("http://") {
        url.wrong(
            report,
            "expected a URL that begins with https:// or http://",
            None,
        );
        return None;
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        url.wrong(report, "it holds white space or a control character", None);
        return None;
    }
    Some(Webhook {
        url: text.to_owned(),
        secret_file,
    })
}

/// A path as the operator wrote it, made absolute.
pub(super) fn read_path(
    fields: &Fields<'_, '_>,
    name: &str,
    found: &Found<'_>,
    report: &mut Report,
) -> Option<PathBuf> {
    let node = fields.optional(name)?;
    let text = node.words(report)?;
    let Found::At(place) = found else {
        return Some(PathBuf::from(text)); // The caller has the paths that were found before.
    };
    let written = expand_home(&node, text, place, report)?;
    Some(place.folder.join(written))
}

/// A file, or a program and its arguments.
pub(super) fn read_sink(
    fields: &Fields<'_, '_>,
    found: &Found<'_>,
    report: &mut Report,
) -> Option<AuditSink> {
    let node = fields.optional("audit_sink")?;
    if node.is_list() {
        return read_argv(&node, report).map(AuditSink::Command);
    }
    read_path(fields, "audit_sink", found, report).map(AuditSink::File)
}
