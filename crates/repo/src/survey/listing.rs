//! Lists of paths with what is there, as they are kept: `<mode> <id>\t<path>\0` each, in order of paths (the form of
//! `git ls-files --stage -z` without stages, git-ls-files(1)). A path cannot hold a NUL, so no name can forge an entry.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use machine_driver_state::survey::{Difference, How, Place};

use crate::objects::tree_id;
use crate::repository::Format;

/// Files of these modes differ only in who may run them.
const FILE_MODES: [u32; 2] = [0o100_644, 0o100_755];

/// One path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// Octal, as in trees of git; in inventories also what git has no mode for, as in stat(2).
    pub(crate) mode: u32,
    /// What is there, in lower-case hex.
    pub(crate) id: &'a str,
    /// From the root.
    pub(crate) path: &'a [u8],
}

/// Adds an entry to a list.
pub(crate) fn push(list: &mut Vec<u8>, entry: &Entry<'_>) {
    list.extend_from_slice(format!("{:06o} {}\t", entry.mode, entry.id).as_bytes());
    list.extend_from_slice(entry.path);
    list.push(0);
}

/// Reads a list; none where it is malformed, or its paths are not in order.
pub(crate) fn parse(list: &[u8]) -> Option<Vec<Entry<'_>>> {
    let mut all: Vec<Entry<'_>> = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        let end = rest.iter().position(|&byte| byte == 0)?;
        let (line, after) = rest.split_at_checked(end)?;
        let entry = parse_entry(line)?;
        if all.last().is_some_and(|last| last.path >= entry.path) {
            return None;
        }
        all.push(entry);
        rest = after.get(1..)?;
    }
    Some(all)
}

fn parse_entry(line: &[u8]) -> Option<Entry<'_>> {
    let tab = line.iter().position(|&byte| byte == b'\t')?;
    let (head, path) = line.split_at_checked(tab)?;
    let (mode, id) = std::str::from_utf8(head).ok()?.split_once(' ')?;
    let is_hex = id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let path = path.get(1..).filter(|path| !path.is_empty())?;
    (mode.len() == 6 && is_hex && matches!(id.len(), 40 | 64)).then_some(())?;
    let mode = u32::from_str_radix(mode, 8).ok()?;
    Some(Entry { mode, id, path })
}

/// The id of the tree that git would write for these entries, which are in order of paths.
pub(crate) fn tree_of(entries: &[Entry<'_>], format: Format) -> Option<String> {
    let mut open = vec![Folder::default()];
    for entry in entries {
        let mut names: Vec<&[u8]> = entry.path.split(|&byte| byte == b'/').collect();
        let file = names.pop()?;
        let common = open.iter().skip(1).zip(&names);
        let common = common.take_while(|(folder, name)| folder.name == **name).count();
        while open.len() > common + 1 {
            close_last(&mut open, format)?;
        }
        open.extend(names.iter().skip(common).map(|name| Folder {
            name,
            body: Vec::new(),
        }));
        open.last_mut()?.add(entry.mode, file, entry.id)?;
    }
    while open.len() > 1 {
        close_last(&mut open, format)?;
    }
    Some(tree_id(&open.pop()?.body, format))
}

/// A folder whose entries are not all known yet.
#[derive(Default)]
struct Folder<'a> {
    name: &'a [u8],
    body: Vec<u8>,
}

impl Folder<'_> {
    /// `<mode> <name>\0<id>`, the mode without leading zeros (git's `tree.c`, `decode_tree_entry`).
    fn add(&mut self, mode: u32, name: &[u8], id: &str) -> Option<()> {
        self.body.extend_from_slice(format!("{mode:o} ").as_bytes());
        self.body.extend_from_slice(name);
        self.body.push(0);
        for pair in id.as_bytes().chunks(2) {
            let pair = std::str::from_utf8(pair).ok()?;
            self.body.push(u8::from_str_radix(pair, 16).ok()?);
        }
        Some(())
    }
}

fn close_last(open: &mut Vec<Folder<'_>>, format: Format) -> Option<()> {
    let last = open.pop()?;
    open.last_mut()?
        .add(0o040_000, last.name, &tree_id(&last.body, format))
}

/// What differs between two lists.
pub(crate) fn differences(before: &[Entry<'_>], after: &[Entry<'_>], place: Place) -> Vec<Difference> {
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    let mut found = Vec::new();
    let mut tell = |entry: &Entry<'_>, how| {
        let path = PathBuf::from(OsStr::from_bytes(entry.path));
        found.push(Difference { path, how, place });
    };
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return found,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.path.cmp(new.path),
        };
        let old = before.next_if(|_| order.is_le());
        let new = after.next_if(|_| order.is_ge());
        match (old, new) {
            (Some(old), Some(new)) => how(old, new).into_iter().for_each(|how| tell(new, how)),
            (Some(old), None) => tell(old, How::Deleted),
            (None, Some(new)) => tell(new, How::Added),
            (None, None) => return found,
        }
    }
}

fn how(old: &Entry<'_>, new: &Entry<'_>) -> Option<How> {
    let is_file = |entry: &Entry<'_>| FILE_MODES.contains(&entry.mode);
    match (old.id == new.id, old.mode == new.mode) {
        (true, true) => None,
        (true, false) if is_file(old) && is_file(new) => Some(How::Mode),
        _ => Some(How::Changed),
    }
}

#[cfg(test)]
mod tests;
