//! Reach a human: the [`Alerter`] port of machine-driver, its sinks, and the outbox that sends.
//!
//! An [`Alerter`] sends one alert. [`sinks`] sets up those that a goal file and the environment ask for, and an [`Outbox`]
//! sends alerts through them, each on a thread of its own, until they have arrived. What is raised, and what the log keeps
//! of it, is decided elsewhere (`machine-driver`): this crate has no opinion about it and writes nothing to disk.
//!
//! # Features
//! Each adds types and the errors of their absence, nothing else; none is on by default.
//! - `telegram`: [`Telegram`](https://core.telegram.org/bots/api), plain messages to chats.
//! - `webhook`: a signed POST.
//! - `command`: a program of one's own.
//!
//! [`Printed`] is always there, and an implementation of one's own is two methods:
//!
//! ```
//! use std::sync::{Arc, Mutex, mpsc};
//! use std::time::Duration;
//!
//! use machine_driver_alert::{Alert, AlertError, AlertId, AlertKind, Alerter, Event, Outbox};
//!
//! /// Rings a bell, if it can be reached.
//! #[derive(Debug, Default)]
//! struct Bell(Mutex<u32>);
//!
//! impl Alerter for Bell {
//!     fn name(&self) -> &str {
//!         "bell"
//!     }
//!
//!     fn send(&self, _: &Alert) -> Result<(), AlertError> {
//!         let mut rings = self.0.try_lock().map_err(|_| AlertError::temporary("the rope is busy"))?;
//!         *rings += 1;
//!         Ok(())
//!     }
//! }
//!
//! let (told, events) = mpsc::channel();
//! let outbox = Outbox::start(vec![Arc::new(Bell::default())], move |event| {
//!     let _ = told.send(event);
//! })?;
//! let alert = Alert {
//!     id: AlertId::new("0123456789abcdef0123456789abcdef")?,
//!     kind: AlertKind::Quarantine,
//!     goal: "shop".to_owned(),
//!     task: None,
//!     text: "task t1 was given up after 3 attempts".to_owned(),
//!     at: machine_driver_state::time::Timestamp::from_millis(1_795_341_600_123),
//! };
//! outbox.submit(alert, &outbox.names());
//! let event = events.recv_timeout(Duration::from_secs(60))?;
//! assert!(matches!(event, Event::Delivered { sink, tries: 1, .. } if sink == "bell"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "command")]
mod command;
mod error;
#[cfg(any(feature = "telegram", feature = "webhook"))]
mod http;
mod outbox;
mod port;
mod printed;
#[cfg(any(feature = "telegram", feature = "webhook"))]
mod secret;
mod settings;
mod setup;
#[cfg(feature = "telegram")]
mod telegram;
mod text;
#[cfg(feature = "webhook")]
mod webhook;

#[cfg(feature = "command")]
pub use command::CommandAlerter;
pub use error::AlertError;
pub use outbox::{Event, Outbox};
pub use port::Alerter;
pub use printed::Printed;
pub use settings::{Settings, TelegramSettings, WebhookSettings, sinks};
pub use setup::SetupError;
#[cfg(feature = "telegram")]
pub use telegram::{API_URL, Telegram};
#[cfg(feature = "webhook")]
pub use webhook::Webhook;

// An alert is in the words of the log.
pub use machine_driver_state::alert::{Alert, AlertId, AlertKind};
