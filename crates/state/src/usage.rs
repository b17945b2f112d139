//! What a worker says that it used.

use serde::{Deserialize, Serialize};

/// Tokens and money of one attempt, as far as the worker reported them. `None` is unknown, and unknown is never zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Input and output tokens together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Money in millionths of a US dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_micros: Option<u64>,
}

impl Usage {
    /// Nothing was used, and that is known.
    pub const NONE: Self = Self {
        tokens: Some(0),
        usd_micros: Some(0),
    };
}
