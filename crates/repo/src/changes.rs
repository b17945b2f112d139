//! What differs between two trees, as `git diff-tree -r -t -z --raw` tells it (git-diff-tree(1), RAW OUTPUT FORMAT).

use machine_driver_state::change::ObjectId;

/// One path that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) old: Kind,
    pub(crate) new: Kind,
    /// Mode of what is there now, octal as in trees; 0 where nothing is.
    pub(crate) mode: u32,
    /// What was there; none where nothing was.
    old_id: Option<ObjectId>,
    /// What is there now; none where nothing is.
    pub(crate) id: Option<ObjectId>,
    /// From the root of the tree.
    pub(crate) path: Vec<u8>,
}

/// What a mode says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Nothing,
    Folder,
    File,
    Link,
    Repository,
}

impl Entry {
    /// Folders differ because what is in them does.
    pub(crate) fn counts(&self) -> bool {
        let is_leaf = |kind| !matches!(kind, Kind::Nothing | Kind::Folder);
        is_leaf(self.old) || is_leaf(self.new)
    }

    /// The trees of the two sides, where they are folders.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &ObjectId> {
        let folder = |kind, id| (kind == Kind::Folder).then_some(id);
        let both = [folder(self.old, &self.old_id), folder(self.new, &self.id)];
        both.into_iter().flatten().flatten()
    }
}

/// Reads the whole answer; none where it is not of that form.
pub(crate) fn parse(answer: &[u8]) -> Option<Vec<Entry>> {
    let mut parts = answer.split(|&byte| byte == 0);
    let mut all = Vec::new();
    while let Some(head) = parts.next().filter(|head| !head.is_empty()) {
        let head = std::str::from_utf8(head.strip_prefix(b":")?).ok()?;
        let mut fields = head.split(' ');
        let (old, mode) = (kind(fields.next()?)?, fields.next()?);
        let new = kind(mode)?;
        let old_id = ObjectId::new(fields.next()?).ok()?;
        let id = ObjectId::new(fields.next()?).ok()?;
        all.push(Entry {
            old,
            new,
            mode: u32::from_str_radix(mode, 8).ok()?,
            old_id: (old != Kind::Nothing).then_some(old_id),
            id: (new != Kind::Nothing).then_some(id),
            path: parts.next()?.to_vec(),
        });
    }
    Some(all)
}

fn kind(mode: &str) -> Option<Kind> {
    match mode {
        "000000" => Some(Kind::Nothing),
        "040000" => Some(Kind::Folder),
        "100644" | "100755" | "100664" => Some(Kind::File),
        "120000" => Some(Kind::Link),
        "160000" => Some(Kind::Repository),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_entry_is_read() {
        let (zero, id) = ("0".repeat(40), "a".repeat(40));
        let text = format!(
            ":040000 000000 {id} {zero} D\0a\0:000000 100644 {zero} {id} A\0a\0:100644 160000 {id} {id} T\0n\n\0"
        );
        let all = parse(text.as_bytes()).unwrap();
        let seen: Vec<_> = all.iter().map(|e| (e.new, e.id.is_some(), e.counts())).collect();
        assert_eq!(
            seen,
            [
                (Kind::Nothing, false, false),
                (Kind::File, true, true),
                (Kind::Repository, true, true)
            ]
        );
        assert_eq!(all[2].path, b"n\n");
        assert_eq!(parse(b""), Some(Vec::new()));
        assert!(parse(b":100644 100644 x y M\0a\0").is_none());
    }
}
