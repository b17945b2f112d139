//! One sandbox for each run: a repository, a home, a folder of the worker's own, and scripts that run among them.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::entry::Entry;

/// What every script can use: `hook NAME` plants a hook, `loose ID` says where a loose object lies.
const PRELUDE: &str = r#"ulimit -v 4000000
hook() { mkdir -p .git/hooks; ln -sf "$EVIL" ".git/hooks/$1"; }
loose() { echo ".git/objects/$(echo "$1" | cut -c1-2)/$(echo "$1" | cut -c3-)"; }
"#;

/// The history that every run starts from.
const HISTORY: &str = r#"
git init -q -b main . && git config core.logAllRefUpdates true
mkdir src
echo readme > README.md; echo lib > src/lib.txt; echo gone > gone.txt
echo '#!/bin/sh' > tool.sh; ln -s README.md link; echo tracked > tracked.log; printf '*.log\nbuild/\n' > .gitignore
git add -A; git add -f tracked.log; git commit -qm one; git branch other
echo keep > keep.txt; git add -A; git commit -qm two
"#;

/// What the worker was asked to do; without it there would be nothing to commit.
pub(crate) const EDIT: &str =
    "echo edited > src/lib.txt; echo new > new.txt; rm -f gone.txt; chmod +x tool.sh";

/// A worker's program: it leaves the canary, and does as little as it can besides.
const EVIL: &str = "#!/bin/sh\necho \"$0 $*\" >> \"CANARY\"\nexit 0\n";
const EVIL_CAT: &str = "#!/bin/sh\necho \"$0 $*\" >> \"CANARY\"\nexec cat \"$@\"\n";

/// The repository that all sandboxes are copies of.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) base: String,
    pub(crate) other: String,
    pub(crate) repo: PathBuf,
    folder: tempfile::TempDir,
}

impl Template {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let repo = root.join("template");
        fs::create_dir(&repo).unwrap();
        let script = format!("{HISTORY}git rev-parse HEAD other");
        let home = root.join("home");
        fs::create_dir(&home).unwrap();
        fs::write(home.join(".gitconfig"), IDENTITY).unwrap();
        let mut command = Command::new("/bin/sh");
        let path = std::env::var_os("PATH").unwrap();
        command
            .args(["-c", &script])
            .env_clear()
            .env("PATH", path)
            .env("HOME", home);
        let output = command.current_dir(&repo).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (base, other) = text.trim().split_once('\n').unwrap();
        let (base, other) = (base.to_owned(), other.to_owned());
        Self {
            base,
            other,
            repo,
            folder,
        }
    }

    pub(crate) fn sandbox(&self) -> Sandbox {
        let folder = tempfile::tempdir_in(self.folder.path()).unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["home", "bin", "out", "own"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        let copied = Command::new("cp")
            .arg("-a")
            .args([&self.repo, &root.join("repo")])
            .status()
            .unwrap();
        assert!(copied.success());
        fs::write(root.join("home/.gitconfig"), IDENTITY).unwrap();
        fs::write(root.join("out/victim"), "victim\n").unwrap();
        fs::copy(root.join("repo/.git/index"), root.join("out/original-index")).unwrap();
        let canary = root.join("canary");
        for (name, text) in [("evil", EVIL), ("evilcat", EVIL_CAT)] {
            script_at(
                &root.join("out").join(name),
                &text.replace("CANARY", canary.to_str().unwrap()),
            );
        }
        let (base, other) = (self.base.clone(), self.other.clone());
        Sandbox {
            root,
            base,
            other,
            _folder: Some(folder),
        }
    }
}

/// Who the user is, as every sandbox has it.
const IDENTITY: &str = "[user]\n\tname = U Ser\n\temail = u@ser.invalid\n";

fn script_at(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A folder with everything that one run touches.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) root: PathBuf,
    pub(crate) base: String,
    pub(crate) other: String,
    _folder: Option<tempfile::TempDir>,
}

/// How a child came to its end.
#[derive(Debug)]
pub(crate) enum Ended {
    With(ExitStatus),
    NotInTime,
}

impl Sandbox {
    /// The sandbox of a driver's run, as the driver's own process finds it.
    pub(crate) fn at(root: &Path) -> Self {
        let told = |name: &str| fs::read_to_string(root.join(name)).unwrap();
        Self {
            root: root.to_owned(),
            base: told("base"),
            other: told("other"),
            _folder: None,
        }
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.root.join("repo")
    }

    pub(crate) fn canary(&self) -> Option<String> {
        let bytes = fs::read(self.root.join("canary")).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// `PATH` with the folder first that a worker can put programs into.
    pub(crate) fn path(&self) -> OsString {
        let mut path = OsString::from(self.root.join("bin"));
        path.push(":");
        path.push(
            std::env::var_os("HOSTILE_PATH")
                .or_else(|| std::env::var_os("PATH"))
                .unwrap(),
        );
        path
    }

    /// Runs a script of the worker's.
    pub(crate) fn worker(&self, script: &str) {
        let ended = self.script(script, &[], Duration::from_secs(60));
        assert!(
            matches!(ended, Ended::With(_)),
            "the worker itself hangs: {script}"
        );
        let _ = fs::remove_file(self.root.join("canary"));
    }

    /// Runs what a driver that knows no better would, and says whether the trap worked.
    pub(crate) fn naive(&self, entry: &Entry) -> bool {
        let ended = self.script(entry.naive, entry.env, Duration::from_secs(60));
        match (entry.shows, ended) {
            (_, Ended::NotInTime) => false,
            (crate::entry::Shows::Runs, _) => self.canary().is_some(),
            (crate::entry::Shows::Says, Ended::With(status)) => status.success(),
        }
    }

    fn script(&self, script: &str, env: &[(&str, &str)], limit: Duration) -> Ended {
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(format!("{PRELUDE}{script}"))
            .current_dir(self.repo());
        self.surround(&mut command, env);
        command
            .env("REPO", self.repo())
            .env("SB", &self.root)
            .env("OUT", self.root.join("out"));
        command
            .env("EVIL", self.root.join("out/evil"))
            .env("EVILCAT", self.root.join("out/evilcat"));
        command
            .env("BASE", &self.base)
            .env("OTHER", &self.other)
            .env("KEY", KEY);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        if std::env::var_os("HOSTILE_LOUD").is_none() {
            command.stderr(Stdio::null());
        }
        self.bounded(&mut command, limit)
    }

    /// An ordinary environment, and what the entry puts into it.
    pub(crate) fn surround(&self, command: &mut Command, env: &[(&str, &str)]) {
        command
            .env_clear()
            .env("PATH", self.path())
            .env("HOME", self.root.join("home"));
        command
            .env("TERM", "xterm")
            .env("LANG", "C.UTF-8")
            .env("USER", "u");
        for (name, value) in env {
            command.env(name, value.replace("$SB", self.root.to_str().unwrap()));
        }
    }

    /// Runs a child to its end or to the limit; what it leaves then is ended as well.
    pub(crate) fn bounded(&self, command: &mut Command, limit: Duration) -> Ended {
        let mut child = command.process_group(0).spawn().unwrap();
        let until = Instant::now() + limit;
        while Instant::now() < until {
            if let Some(status) = child.try_wait().unwrap() {
                return Ended::With(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.end_all();
        let _ = child.wait();
        Ended::NotInTime
    }

    /// Processes whose environment holds this sandbox's folder, which nothing else in the world does.
    pub(crate) fn left_over(&self) -> Vec<String> {
        let mark = self.root.to_str().unwrap().as_bytes();
        let holds = |bytes: &[u8]| bytes.windows(mark.len()).any(|window| window == mark);
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let ids = processes.filter_map(|entry| entry.file_name().into_string().ok());
        ids.filter(|id| id.bytes().all(|b| b.is_ascii_digit()))
            .filter(|id| {
                ["environ", "cmdline"]
                    .iter()
                    .any(|file| fs::read(format!("/proc/{id}/{file}")).is_ok_and(|bytes| holds(&bytes)))
            })
            .collect()
    }

    /// Ends them: this test started each one.
    pub(crate) fn end_all(&self) {
        for id in self.left_over() {
            let _ = Command::new("kill").args(["-KILL", &id]).status();
        }
    }
}

/// The idempotency key of every order, which a worker may know.
pub(crate) const KEY: &str = "sha256:0707070707070707070707070707070707070707070707070707070707070707";
