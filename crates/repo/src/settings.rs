//! What of the user's configuration counts for the driver: what says how content is read, and nothing that names a
//! program.

use std::collections::BTreeMap;
use std::path::Path;

use crate::repository::Format;

/// Settings that are carried over with their values.
const KEPT: [&str; 14] = [
    "core.autocrlf",
    "core.eol",
    "core.safecrlf",
    "core.filemode",
    "core.symlinks",
    "core.ignorecase",
    "core.precomposeunicode",
    "core.protecthfs",
    "core.protectntfs",
    "core.checkroundtripencoding",
    "core.bigfilethreshold",
    "core.compression",
    "core.sharedrepository",
    "core.logallrefupdates",
];

/// What is the user's, as it was before any worker ran.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    kept: BTreeMap<String, String>,
    /// Content of `core.excludesFile`.
    pub(crate) excludes: Vec<u8>,
    /// Content of `core.attributesFile`.
    pub(crate) attributes: Vec<u8>,
    /// Content of `info/exclude`.
    pub(crate) info_exclude: Vec<u8>,
    /// Content of `info/attributes`.
    pub(crate) info_attributes: Vec<u8>,
    /// Whether an attribute file outside of the tree mentions filters.
    pub(crate) mention_filters: bool,
}

/// Everything that `git config --list -z` said, the last value of each name; a name without a value is true.
pub(crate) type Said = BTreeMap<String, String>;

/// Reads the answer of `git config --list -z`.
pub(crate) fn said(answer: &[u8]) -> Said {
    let entries = answer.split(|&byte| byte == 0).filter(|entry| !entry.is_empty());
    let pair = |entry: &[u8]| {
        let entry = String::from_utf8_lossy(entry);
        match entry.split_once('\n') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (entry.into_owned(), "true".to_owned()),
        }
    };
    entries.map(pair).collect()
}

/// Whether a setting is on, as git-config(1) spells that.
pub(crate) fn is_on(said: &Said, name: &str) -> bool {
    let value = said.get(name).map(|value| value.to_ascii_lowercase());
    let number = value.as_ref().and_then(|value| value.parse::<i64>().ok());
    matches!(value.as_deref(), Some("true" | "yes" | "on")) || number.is_some_and(|number| number != 0)
}

impl Settings {
    pub(crate) fn of(said: &Said) -> Self {
        let mut kept: BTreeMap<String, String> = KEPT
            .iter()
            .filter_map(|&name| Some((name.to_owned(), said.get(name)?.clone())))
            .collect();
        // A warning about line ends would be one more thing on stderr; that they must survive is a refusal, and stays.
        if !is_on(said, "core.safecrlf") {
            kept.insert("core.safecrlf".into(), "false".into());
        }
        Self {
            kept,
            ..Self::default()
        }
    }

    /// Whether the user wants a log of where references were (`core.logAllRefUpdates`).
    pub(crate) fn keeps_logs(&self) -> bool {
        let value = self.kept.get("core.logallrefupdates");
        value.is_none_or(|value| !matches!(value.to_ascii_lowercase().as_str(), "false" | "no" | "off" | "0"))
    }

    /// The configuration of the private git folder at `folder`.
    pub(crate) fn config(&self, folder: &Path, format: Format) -> Vec<u8> {
        let mut text = Vec::new();
        let mut set = |name: &str, value: &[u8]| {
            let (section, key) = name.split_once('.').unwrap_or((name, ""));
            text.extend_from_slice(format!("[{section}]\n\t{key} = ").as_bytes());
            text.extend(quoted(value));
            text.push(b'\n');
        };
        for (name, value) in FIXED {
            set(name, value.as_bytes());
        }
        for (name, value) in &self.kept {
            set(name, value.as_bytes());
        }
        for (name, file) in [
            ("core.excludesFile", "excludes"),
            ("core.attributesFile", "attributes"),
        ] {
            set(name, folder.join(file).as_os_str().as_encoded_bytes());
        }
        if format == Format::Sha256 {
            set("core.repositoryformatversion", b"1");
            set("extensions.objectformat", b"sha256");
        }
        text
    }
}

/// `core.fsync` is everything but the index: the private one need not outlive its process, and the user's is synced by
/// hand. (`all,-index` would not say so: what is named outweighs what is taken away.)
/// Commit graphs and multi-pack indexes are caches that nobody checks against what they cache.
const FIXED: [(&str, &str); 26] = [
    ("core.repositoryformatversion", "0"),
    ("core.bare", "false"),
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.untrackedCache", "false"),
    ("core.sparseCheckout", "false"),
    ("core.splitIndex", "false"),
    ("core.commitGraph", "false"),
    ("core.multiPackIndex", "false"),
    ("core.fsync", "objects,derived-metadata,reference"),
    ("core.fsyncMethod", "fsync"),
    ("core.filesRefLockTimeout", "1000"),
    ("core.packedRefsTimeout", "1000"),
    ("core.logAllRefUpdates", "true"),
    ("index.version", "2"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("commit.gpgSign", "false"),
    ("diff.ignoreSubmodules", "all"),
    ("diff.renames", "false"),
    ("submodule.recurse", "false"),
    ("protocol.allow", "never"),
    ("advice.addEmbeddedRepo", "false"),
    ("add.ignoreErrors", "false"),
    ("core.pager", "cat"),
    ("core.askPass", "/bin/false"),
];

/// As git-config(1) has it: in quotes, with backslashes.
fn quoted(value: &[u8]) -> Vec<u8> {
    let mut text = vec![b'"'];
    for &byte in value {
        match byte {
            b'"' | b'\\' => text.extend([b'\\', byte]),
            b'\n' => text.extend(b"\\n"),
            b'\t' => text.extend(b"\\t"),
            byte => text.push(byte),
        }
    }
    text.push(b'"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_how_content_is_read_is_carried_over() {
        let said = said(b"core.autocrlf\ninput\0core.sshcommand\nevil\0core.filemode\nfalse\0core.symlinks\0core.fsmonitor\nevil\0");
        let settings = Settings::of(&said);
        let text = String::from_utf8(settings.config(Path::new("/p \"q\""), Format::Sha256)).unwrap();
        for line in [
            "autocrlf = \"input\"",
            "filemode = \"false\"",
            "symlinks = \"true\"",
            "safecrlf = \"false\"",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(
            text.contains("excludesFile = \"/p \\\"q\\\"/excludes\""),
            "{text}"
        );
        assert!(
            text.contains("objectformat = \"sha256\"") && !text.contains("evil"),
            "{text}"
        );
    }

    #[test]
    fn switches_are_read_as_git_reads_them() {
        let on = |value: &str| is_on(&said(format!("a.b\n{value}\0").as_bytes()), "a.b");
        assert!(on("true") && on("YES") && on("1") && is_on(&said(b"a.b\0"), "a.b"));
        assert!(!on("false") && !on("0") && !on("") && !on("warn") && !is_on(&said(b""), "a.b"));
    }
}
