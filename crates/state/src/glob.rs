//! Globs over the paths of a repository, as `scope` and `path:` rules write them.

use std::fmt;
use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};

/// A glob over paths below the root of the tree.
///
/// `*` and `?` stay within one name, `**` goes through folders, `[a-z]` and `{a,b}` choose. A glob that fits a folder fits
/// everything in it: `tests` is `tests/**` too.
#[derive(Debug, Clone)]
pub struct PathGlob {
    text: String,
    matcher: GlobMatcher,
}

/// Why a text is no glob over the paths of a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GlobError {
    /// It names nothing.
    #[error("it names no path")]
    Empty,
    /// It leads out of the tree.
    #[error("paths begin at the root of the tree: no `/` at the front, no `..`, no `.`")]
    NotBelow,
    /// It begins with `!`, which other programs read as "all but".
    #[error("a glob cannot say \"all but\": name the paths that are meant")]
    Negated,
    /// It is malformed.
    #[error("{0}")]
    Malformed(String),
}

impl PathGlob {
    /// The most bytes that a glob may have.
    pub const MAX: usize = 4096;

    /// Reads a glob; a `/` at its end is dropped.
    ///
    /// # Errors
    /// [`GlobError`] where it is malformed, or leads out of the tree.
    pub fn new(text: &str) -> Result<Self, GlobError> {
        let plain = text.strip_suffix('/').unwrap_or(text);
        if plain.is_empty() || plain.trim().is_empty() {
            return Err(GlobError::Empty);
        }
        if plain.len() > Self::MAX || plain.contains('\0') {
            return Err(GlobError::Malformed(format!(
                "it has more than {} bytes, or a NUL",
                Self::MAX
            )));
        }
        if plain.starts_with('!') {
            return Err(GlobError::Negated);
        }
        if plain.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(GlobError::NotBelow);
        }
        let glob = GlobBuilder::new(plain)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|error| GlobError::Malformed(error.kind().to_string()))?;
        Ok(Self {
            text: text.to_owned(),
            matcher: glob.compile_matcher(),
        })
    }

    /// The glob as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it fits this path below the root, or a folder that the path lies in.
    #[must_use]
    pub fn fits(&self, path: &Path) -> bool {
        path.ancestors()
            .take_while(|ancestor| !ancestor.as_os_str().is_empty())
            .any(|ancestor| self.matcher.is_match(ancestor))
    }

    /// The folder that everything it fits lies in, or is: empty for the whole tree.
    #[must_use]
    pub fn root(&self) -> &Path {
        let is_plain = |part: &&str| !part.contains(['*', '?', '[', ']', '{', '}', '\\']);
        let plain = self.text.strip_suffix('/').unwrap_or(&self.text);
        let length: usize = plain
            .split('/')
            .take_while(is_plain)
            .map(|part| part.len() + 1)
            .sum();
        Path::new(plain.get(..length.saturating_sub(1)).unwrap_or_default())
    }
}

impl PartialEq for PathGlob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for PathGlob {}

impl fmt::Display for PathGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(glob: &str, fits: &[&str], not: &[&str]) {
        let glob = PathGlob::new(glob).unwrap();
        for path in fits {
            assert!(glob.fits(Path::new(path)), "{glob} should fit {path}");
        }
        for path in not {
            assert!(!glob.fits(Path::new(path)), "{glob} should not fit {path}");
        }
    }

    #[test]
    fn stars_stay_within_a_name_and_two_go_through_folders() {
        check("src/*.rs", &["src/a.rs"], &["src/a/b.rs", "a.rs", "src/a.rsx"]);
        check("src/**/*.rs", &["src/a.rs", "src/a/b.rs"], &["lib/a.rs"]);
        check(
            "**/conftest.py",
            &["conftest.py", "a/b/conftest.py"],
            &["conftest.pyc"],
        );
        check("**", &["a", "a/b", ".hidden/x"], &[]);
        check("{a,b}/x", &["a/x", "b/x"], &["c/x"]);
        check("a\\*b", &["a*b"], &["axb"]);
    }

    #[test]
    fn a_folder_stands_for_all_in_it() {
        check(
            "tests",
            &["tests", "tests/a", "tests/a/b"],
            &["test", "tests2/a", "a/tests"],
        );
        check("tests/", &["tests/a"], &["testsa"]);
        check("src/*", &["src/a/b"], &["src"]);
    }

    #[test]
    fn a_name_that_is_not_utf8_is_a_path_too() {
        use std::os::unix::ffi::OsStrExt as _;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"src/\xff"));
        assert!(PathGlob::new("src").unwrap().fits(path));
        assert!(PathGlob::new("src/*").unwrap().fits(path));
    }

    #[test]
    fn what_leads_out_of_the_tree_is_no_glob() {
        for bad in [
            "", "/", " ", "/etc", "../x", "a/../b", "./a", "a//b", "!a", "[", "{a", "a\0",
        ] {
            assert!(PathGlob::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_root_is_what_comes_before_the_first_star() {
        for (glob, root) in [
            ("a/b/*.c", "a/b"),
            ("**/x", ""),
            ("a/b", "a/b"),
            ("a/", "a"),
            ("a/[b]", "a"),
            ("x*", ""),
        ] {
            assert_eq!(PathGlob::new(glob).unwrap().root(), Path::new(root), "{glob}");
        }
    }
}
