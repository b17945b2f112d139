//! A repository as it was when the driver opened it, before any worker ran.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use machine_driver_state::change::{ObjectId, RefName};

use crate::error::RepoError;
use crate::files;
use crate::inquiry::{Inquiry, Places};
use crate::own::Own;
use crate::pins::Pins;
use crate::private;
use crate::refs;
use crate::settings::{self, Said, Settings};

/// Bytes that a list of patterns may have.
const PATTERNS_BYTES_MAX: u64 = 16 << 20;

/// What object ids are made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Sha1,
    Sha256,
}

impl Format {
    /// Bytes of an id.
    pub(crate) const fn id_bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// The tree without anything in it, which every git knows.
    pub(crate) const fn empty_tree(self) -> &'static str {
        match self {
            Self::Sha1 => "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
            Self::Sha256 => "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
        }
    }

    /// The id of nothing, which stands for a reference that is not there.
    pub(crate) fn zero(self) -> String {
        "0".repeat(self.id_bytes() * 2)
    }
}

/// Everything about it that is the user's, read once.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    /// Absolute path of git.
    pub(crate) git: PathBuf,
    /// Root of the tree.
    pub(crate) root: PathBuf,
    /// Where HEAD and the index are.
    pub(crate) git_dir: PathBuf,
    /// Where branches and objects are; the same but in a linked worktree.
    pub(crate) common_dir: PathBuf,
    pub(crate) objects: PathBuf,
    pub(crate) format: Format,
    pub(crate) settings: Settings,
    /// Variables that say who commits.
    pub(crate) identity: Vec<(OsString, OsString)>,
    /// The driver's own paths, and git's folders where they lie in the tree under another name than `.git`.
    pub(crate) own: Own,
    /// What was checked out.
    pub(crate) reference: RefName,
    pub(crate) parent: Option<ObjectId>,
    /// Limit of each call where it is not the built-in one.
    pub(crate) wall: Option<Duration>,
    pins: Pins,
}

impl Repository {
    /// For somebody who commits to it.
    pub(crate) fn open(folder: &Path, own: &[PathBuf], prefixes: &[PathBuf]) -> Result<Self, RepoError> {
        let inquiry = Inquiry::new(folder)?;
        let (places, said) = (inquiry.places()?, inquiry.configuration()?);
        refuse_sparse(&places.root, &said)?;
        let identity = inquiry.identity()?;
        let repository = Self {
            identity,
            ..Self::seen(&inquiry, places, &said, own, prefixes)?
        };
        repository.refuse_state()?;
        inquiry.at(&repository.root).refuse_bits()?;
        Ok(repository)
    }

    /// For somebody who only looks at it: nobody's name is needed, and no state is refused that hides nothing from a private
    /// index.
    pub(crate) fn open_to_see(
        folder: &Path,
        own: &[PathBuf],
        prefixes: &[PathBuf],
    ) -> Result<Self, RepoError> {
        let inquiry = Inquiry::new(folder)?;
        let (places, said) = (inquiry.places()?, inquiry.configuration()?);
        Self::seen(&inquiry, places, &said, own, prefixes)
    }

    fn seen(
        inquiry: &Inquiry,
        places: Places,
        said: &Said,
        own: &[PathBuf],
        prefixes: &[PathBuf],
    ) -> Result<Self, RepoError> {
        let root = places.root;
        let format = format(&root, said)?;
        refuse_kind(&root, said)?;
        let settings = user_settings(inquiry, said, &places.common_dir)?;
        let objects = places.common_dir.join("objects");
        let pins = Pins::of(&root, &places.git_dir, &places.common_dir)?;
        let mut own = own.to_vec();
        let inside = [&places.git_dir, &places.common_dir].into_iter();
        // Git knows its own name by itself.
        let is_other = |folder: &&PathBuf| folder.starts_with(&root) && !folder.ends_with(".git");
        own.extend(inside.filter(is_other).cloned());
        let mut prefixes = prefixes.to_vec();
        prefixes.push(private::prefix());
        let mut repository = Self {
            git: inquiry.git.clone(),
            own: Own::new(&root, &own, &prefixes)?,
            reference: RefName::new("HEAD").map_err(|e| RepoError::unsupported(&root, e.to_string()))?,
            root,
            git_dir: places.git_dir,
            common_dir: places.common_dir,
            objects,
            pins,
            format,
            settings,
            identity: Vec::new(),
            parent: None,
            wall: None,
        };
        (repository.reference, repository.parent) = refs::head(&repository)?;
        Ok(repository)
    }

    /// Refuses what a plain commit would break into.
    pub(crate) fn refuse_state(&self) -> Result<(), RepoError> {
        match refs::under_way(&self.git_dir) {
            Some(what) => Err(RepoError::unsupported(&self.root, what)),
            None => Ok(()),
        }
    }

    /// Refuses when something of it is elsewhere than it was when the driver opened it.
    pub(crate) fn refuse_moved(&self) -> Result<(), RepoError> {
        self.pins.hold(&self.root, &self.git_dir, &self.common_dir)
    }
}

fn format(root: &Path, said: &Said) -> Result<Format, RepoError> {
    match said.get("extensions.objectformat").map(String::as_str) {
        None | Some("sha1") => Ok(Format::Sha1),
        Some("sha256") => Ok(Format::Sha256),
        Some(other) => Err(RepoError::unsupported(
            root,
            format!("its object format is {other}"),
        )),
    }
}

/// Kinds of repositories whose commits need more than this crate does.
fn refuse_kind(root: &Path, said: &Said) -> Result<(), RepoError> {
    let storage = said.get("extensions.refstorage").map_or("files", String::as_str);
    if storage != "files" {
        let what = format!("its references are stored as {storage}, and only plain files are understood");
        return Err(RepoError::unsupported(root, what));
    }
    if said.contains_key("extensions.compatobjectformat") {
        return Err(RepoError::unsupported(root, "it has two object formats"));
    }
    Ok(())
}

fn refuse_sparse(root: &Path, said: &Said) -> Result<(), RepoError> {
    if settings::is_on(said, "core.sparsecheckout") {
        let what = "it is a sparse checkout, so its folder does not hold the whole tree";
        return Err(RepoError::unsupported(root, what));
    }
    Ok(())
}

/// Content of the user's pattern files: what they hold now counts, whatever a worker does to them later.
fn user_settings(inquiry: &Inquiry, said: &Said, common_dir: &Path) -> Result<Settings, RepoError> {
    let read = |path: &Path| Ok(files::read(path, PATTERNS_BYTES_MAX)?.unwrap_or_default());
    let global = |name: &str, default: &str| -> Result<Vec<u8>, RepoError> {
        let path = match said.contains_key(name) {
            true => inquiry.path_setting(name)?,
            false => inquiry.user_file(default),
        };
        // The user's own, which may well be a link into a folder of dotfiles.
        let path = path.and_then(|path| path.canonicalize().ok());
        path.map_or_else(|| Ok(Vec::new()), |path| read(&path))
    };
    let mut settings = Settings::of(said);
    settings.excludes = global("core.excludesfile", "ignore")?;
    settings.attributes = global("core.attributesfile", "attributes")?;
    settings.info_exclude = read(&common_dir.join("info/exclude"))?;
    settings.info_attributes = read(&common_dir.join("info/attributes"))?;
    let system = inquiry.system_attributes()?;
    let all = [&settings.attributes, &settings.info_attributes, &system];
    settings.mention_filters = all.iter().any(|text| crate::filters::are_mentioned(text));
    Ok(settings)
}

/// The variables of a user's environment that say something about another repository than the one at hand, and those of
/// tracing: git(1).
pub(crate) fn environment(all: impl Iterator<Item = (OsString, OsString)>) -> BTreeMap<OsString, OsString> {
    const OUT: [&str; 17] = [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INDEX_VERSION",
        "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_NAMESPACE",
        "GIT_PREFIX",
        "GIT_GRAFT_FILE",
        "GIT_SHALLOW_FILE",
        "GIT_REPLACE_REF_BASE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_QUARANTINE_PATH",
        "GIT_EXEC_PATH",
        "GIT_CONFIG",
    ];
    let is_out = |name: &str| OUT.contains(&name) || name.starts_with("GIT_TRACE");
    let mut all: BTreeMap<_, _> = all
        .filter(|(name, _)| !name.to_str().is_some_and(is_out))
        .collect();
    all.insert("LC_ALL".into(), "C".into());
    all.insert("GIT_OPTIONAL_LOCKS".into(), "0".into());
    all.insert("GIT_TERMINAL_PROMPT".into(), "0".into());
    all.insert("GIT_NO_LAZY_FETCH".into(), "1".into());
    all
}
