//! The alert crate as its users see it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[cfg_attr(
    not(feature = "telegram"),
    expect(dead_code, reason = "Telegram's tests use all of it")
)]
mod common;
mod outbox;

#[cfg(feature = "command")]
mod command;
#[cfg(feature = "telegram")]
mod telegram;
#[cfg(feature = "webhook")]
mod tls;
#[cfg(feature = "webhook")]
mod webhook;
