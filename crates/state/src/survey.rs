//! How a tree stood when somebody looked, and how it differs from then: what rules about paths are asked about.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::change::ObjectId;
use crate::id::Digest;

/// How a tree stood. Each part is named by its content, so a survey that a record holds cannot be changed afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Survey {
    /// What git would commit: everything but what is ignored. None in a plain folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<ObjectId>,
    /// What is staged in the index that people use. None in a plain folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<ObjectId>,
    /// SHA-256 of the list of the protected files, ignored ones and those of nested repositories included; in a plain folder of
    /// all files. None where no rule asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Digest>,
}

/// Where a difference was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// In what git would commit.
    Tree,
    /// In what is staged.
    Index,
    /// In the files as they lie there, ignored or not.
    Files,
}

/// How a path differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// It was not there.
    Added,
    /// Its content is another, or its kind: a link in place of a file.
    Changed,
    /// Only its mode is another.
    Mode,
    /// It is not there any more.
    Deleted,
}

/// One path that differs between two surveys. A file that was renamed is two: one deleted, one added.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Below the root of the tree.
    pub path: PathBuf,
    /// How.
    pub how: How,
    /// Where that was seen.
    pub place: Place,
}
