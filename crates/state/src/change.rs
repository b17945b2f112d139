//! What a task changed, as git names it: the tree that was verified, and the commit that it starts from.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{NameError, text_name};

/// The id of a git object: 40 lower-case hex digits (SHA-1) or 64 (SHA-256), as gitformat-pack(5) has them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectId(std::sync::Arc<str>);

impl ObjectId {
    /// Reads an id.
    ///
    /// # Errors
    /// [`NameError`] when the text is not 40 or 64 lower-case hex digits.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let is_hex = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if matches!(text.len(), 40 | 64) && is_hex {
            Ok(Self(text.into()))
        } else {
            Err(NameError::Malformed {
                what: "a git object is 40 or 64 lower-case hex digits",
            })
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its first 12 digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

/// The name of a git reference: `refs/heads/main`, or `HEAD` where no branch is checked out.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RefName(std::sync::Arc<str>);

impl RefName {
    /// The most bytes that a name may have.
    pub const MAX: usize = 1024;

    /// Reads a name by the rules of git-check-ref-format(1) that keep it one name and one path.
    ///
    /// # Errors
    /// [`NameError`] when the text is neither `HEAD` nor a name below `refs/`.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.len() > Self::MAX {
            return Err(NameError::TooLong {
                length: text.len(),
                max: Self::MAX,
            });
        }
        let forbidden = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
        let part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
        let is_name = text.starts_with("refs/")
            && !text.contains(forbidden)
            && !text.contains("..")
            && !text.contains("@{")
            && !text.ends_with('.')
            && text.split('/').all(part);
        if text == "HEAD" || is_name {
            Ok(Self(text.into()))
        } else {
            Err(NameError::Malformed {
                what: "a reference is `HEAD` or a name below `refs/`",
            })
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Everything in a repository's tree that differs from the commit that is checked out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The reference that a commit of it moves.
    pub reference: RefName,
    /// The commit that is checked out; none on an unborn branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ObjectId>,
    /// The tree that holds the change.
    pub tree: ObjectId,
    /// How many paths differ; 0 says that there is nothing to commit.
    pub paths: u64,
}

text_name!(ObjectId);
text_name!(RefName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_lower_hex_of_two_lengths() {
        for good in ["0a".repeat(20), "0a".repeat(32)] {
            assert_eq!(ObjectId::new(&good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "HEAD",
            &"0A".repeat(20),
            &"0".repeat(41),
            &"g".repeat(40),
            &"-".repeat(40),
        ] {
            assert!(ObjectId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn references_are_one_name_and_stay_below_refs() {
        for good in ["HEAD", "refs/heads/main", "refs/heads/a/b-c", "refs/heads/ä"] {
            assert_eq!(RefName::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "main",
            "-x",
            "refs/",
            "refs/heads/",
            "refs//x",
            "refs/heads/../x",
            "refs/heads/.x",
            "refs/heads/a b",
            "refs/heads/x.lock",
            "refs/heads/x\n",
            "refs/heads/@{1}",
            "refs/heads/x.",
            "refs/heads/x~1",
            "HEAD ",
        ] {
            assert!(RefName::new(bad).is_err(), "{bad:?}");
        }
        assert!(RefName::new(&format!("refs/heads/{}", "a".repeat(2000))).is_err());
    }
}
