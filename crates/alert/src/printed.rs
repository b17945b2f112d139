//! The sink for when there is no other: somebody sees what is printed.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use machine_driver_state::alert::Alert;

use crate::error::AlertError;
use crate::port::Alerter;
use crate::text::message;

/// The most UTF-16 units of a printed alert.
const UNITS_MAX: usize = 4000;

/// Hands alerts as plain text to a writer or a function. Control characters other than the newline are escaped.
pub struct Printed(Box<Print>);

type Print = dyn Fn(&str) -> io::Result<()> + Send + Sync;

impl Printed {
    /// Writes each alert to `out`, a newline after it, and flushes.
    #[must_use]
    pub fn to(out: impl Write + Send + 'static) -> Self {
        let out = Mutex::new(out);
        Self::with(move |text| {
            let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
            out.write_all(format!("{text}\n").as_bytes())?;
            out.flush()
        })
    }

    /// Hands each alert to `print`, without a newline after it.
    #[must_use]
    pub fn with(print: impl Fn(&str) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Box::new(print))
    }
}

impl fmt::Debug for Printed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Printed")
    }
}

impl Alerter for Printed {
    fn name(&self) -> &str {
        "printed"
    }

    fn send(&self, alert: &Alert) -> Result<(), AlertError> {
        (self.0)(&message(alert, UNITS_MAX)).map_err(|error| AlertError::Temporary {
            reason: "could not print the alert".to_owned(),
            source: Some(error),
        })
    }
}
