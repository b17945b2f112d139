//! Whether objects are what they are called, and durable.
//!
//! Git takes an object that is there already for written, whatever is in it: one that a worker planted under the id of a
//! file about to be written would become part of the commit. So each new object is read back, as git reads it, and hashed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use machine_driver_state::change::ObjectId;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::error::RepoError;
use crate::files;
use crate::git::{Call, Git};
use crate::repository::{Format, Repository};

/// Objects beyond which one sync of everything is cheaper than one for each.
const SYNCS_MAX: usize = 64;

/// Bytes of the line before an object's content.
const HEADER_BYTES_MAX: usize = 128;

/// Reads all of these back, given by ids or by names that git resolves; fails where one is missing or is not what it is
/// called.
pub(crate) fn verify(git: &Git<'_>, names: &BTreeSet<String>) -> Result<(), RepoError> {
    let mut list = String::new();
    for name in names {
        refuse_pipe(git.repository, name)?;
        list.push_str(name);
        list.push('\n');
    }
    let mut reader = Reader::new(git.repository.format);
    let call = Call::new("read the new objects back", &["cat-file", "--batch", "--buffer"])
        .fed(list.into_bytes())
        .reading_the_tree();
    let streamed = git.stream(call, &mut |bytes| reader.take(bytes));
    // That git was stopped then is only a consequence.
    if let Some(id) = reader.wrong {
        return Err(corrupt(git.repository, &id));
    }
    streamed?;
    match names.iter().nth(reader.right) {
        None => Ok(()),
        // Answers come in the order of the questions.
        Some(unanswered) => Err(corrupt(git.repository, unanswered)),
    }
}

/// Refuses where the file of an object is none: git would wait for whoever is at the other end of a pipe.
pub(crate) fn refuse_pipe(repository: &Repository, id: &str) -> Result<(), RepoError> {
    let path = loose(repository, id);
    let relative = path.strip_prefix(&repository.objects).unwrap_or(&path);
    files::refuse_links(&repository.objects, relative)
}

fn corrupt(repository: &Repository, id: &str) -> RepoError {
    let detail = format!(
        "the object {id} is missing or does not hold what its id says; where {} is a file, remove it",
        loose(repository, id).display()
    );
    RepoError::Git {
        operation: "read the new objects back",
        path: repository.root.clone(),
        detail,
    }
}

/// Makes these objects durable, with the folders that name them; whoever wrote them.
pub(crate) fn sync(repository: &Repository, ids: &BTreeSet<ObjectId>) -> Result<(), RepoError> {
    let mut folders = BTreeSet::new();
    if ids.is_empty() {
        return Ok(());
    }
    for id in ids {
        let path = loose(repository, id.as_str());
        // In a pack, or too many: one call for all that is on this disk.
        if ids.len() > SYNCS_MAX || !files::sync(&path)? {
            return files::sync_system(&repository.objects);
        }
        folders.extend(path.parent().map(Path::to_owned));
    }
    folders.insert(repository.objects.clone());
    folders
        .iter()
        .try_for_each(|folder| files::sync(folder).map(drop))
}

/// Where an object is that is not in a pack.
fn loose(repository: &Repository, id: &str) -> PathBuf {
    let (folder, file) = id.split_at_checked(2).unwrap_or((id, ""));
    repository.objects.join(folder).join(file)
}

/// Whether a plain file holds, byte for byte, what this id is the id of.
pub(crate) fn is_content(path: &Path, id: &[u8], format: Format) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let mut hash = Hash::new(format);
    hash.update(format!("blob {}\0", file.metadata()?.len()).as_bytes());
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.hex() == hex(id)),
            count => hash.update(buffer.get(..count).unwrap_or_default()),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The id of a tree with this content, as text (gitformat-pack(5): type, space, size, NUL, content).
pub(crate) fn tree_id(body: &[u8], format: Format) -> String {
    let mut hash = Hash::new(format);
    hash.update(format!("tree {}\0", body.len()).as_bytes());
    hash.update(body);
    hash.hex()
}

enum Hash {
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Hash {
    fn new(format: Format) -> Self {
        match format {
            Format::Sha1 => Self::Sha1(Sha1::new()),
            Format::Sha256 => Self::Sha256(Sha256::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hash) => hash.update(bytes),
            Self::Sha256(hash) => hash.update(bytes),
        }
    }

    fn hex(self) -> String {
        match self {
            Self::Sha1(hash) => hex(&hash.finalize()),
            Self::Sha256(hash) => hex(&hash.finalize()),
        }
    }
}

/// Hashes the stream of `git cat-file --batch`: `<id> <type> <size>`, a line feed, the content, a line feed.
struct Reader {
    format: Format,
    header: Vec<u8>,
    /// The object under way: its id, hash, and bytes that are left, with the line feed.
    object: Option<(String, Hash, u64)>,
    /// How many were what they are called.
    right: usize,
    wrong: Option<String>,
}

impl Reader {
    const fn new(format: Format) -> Self {
        Self {
            format,
            header: Vec::new(),
            object: None,
            right: 0,
            wrong: None,
        }
    }

    /// False once something is wrong.
    fn take(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() && self.wrong.is_none() {
            bytes = match self.object.is_some() {
                true => self.content(bytes),
                false => self.head(bytes),
            };
        }
        self.wrong.is_none()
    }

    fn head<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        self.header.extend_from_slice(line);
        if end.is_some() || self.header.len() > HEADER_BYTES_MAX {
            let header = String::from_utf8_lossy(&std::mem::take(&mut self.header)).into_owned();
            self.begin(&header);
        }
        rest.get(1..).unwrap_or_default()
    }

    fn begin(&mut self, header: &str) {
        let mut fields = header.split(' ');
        let (id, kind, size) = (fields.next(), fields.next(), fields.next());
        let size = size.and_then(|size| size.parse::<u64>().ok());
        let (Some(id), Some(kind), Some(size)) = (id, kind, size) else {
            self.wrong = Some(header.split(' ').next().unwrap_or_default().to_owned());
            return;
        };
        let mut hash = Hash::new(self.format);
        hash.update(format!("{kind} {size}\0").as_bytes());
        self.object = Some((id.to_owned(), hash, size.saturating_add(1)));
    }

    fn content<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some((id, mut hash, left)) = self.object.take() else {
            return bytes;
        };
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let (now, rest) = bytes.split_at(count);
        let left = left - count as u64;
        // The last byte is the line feed.
        hash.update(if left == 0 {
            now.get(..count - 1).unwrap_or_default()
        } else {
            now
        });
        if left > 0 {
            self.object = Some((id, hash, left));
        } else if hash.hex() == id {
            self.right += 1;
        } else {
            self.wrong = Some(id);
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "ce013625030ba8dba906f756967f9e9ca394464a"; // `hello\n`
    const EMPTY: &str = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";

    fn check(stream: &str) -> (usize, Option<String>) {
        let mut whole = Reader::new(Format::Sha1);
        whole.take(stream.as_bytes());
        let mut bytewise = Reader::new(Format::Sha1);
        let _ = stream.as_bytes().chunks(1).all(|chunk| bytewise.take(chunk));
        assert_eq!((&whole.right, &whole.wrong), (&bytewise.right, &bytewise.wrong));
        (whole.right, whole.wrong)
    }

    #[test]
    fn content_is_hashed_however_it_is_cut() {
        let good = format!("{HELLO} blob 6\nhello\n\n{EMPTY} blob 0\n\n");
        assert_eq!(check(&good), (2, None));
        let planted = format!("{EMPTY} blob 0\n\n{HELLO} blob 6\nhullo\n\n");
        assert_eq!(check(&planted), (1, Some(HELLO.into())));
        assert_eq!(check(&format!("{HELLO} missing\n")), (0, Some(HELLO.into())));
        assert_eq!(check(&format!("{HELLO} blob 6\nhel")), (0, None));
    }
}
