//! Running git so that nothing of the repository is run: no hook, no filter, no configuration but the driver's own.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use machine_driver_process::{
    Cancel, Capture, Captured, Ending, Sink, Stopped, capture, capture_then, capture_with,
};

use crate::error::{RepoError, one_line};
use crate::private::Private;
use crate::repository::Repository;

/// Bytes of an answer at most: the names of some two million changed paths.
pub(crate) const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Bytes kept of what git complains about.
const COMPLAINT_BYTES_MAX: usize = 64 << 10;

/// How long a call may take that only looks at names.
const WALL: Duration = Duration::from_secs(60);

/// How long a call may take that reads the whole tree.
const WALL_OF_THE_TREE: Duration = Duration::from_secs(600);

/// One call.
pub(crate) struct Call<'a> {
    /// What it is to do, as a verb, for people.
    operation: &'static str,
    arguments: Vec<OsString>,
    stdin: Vec<u8>,
    variables: Vec<(OsString, OsString)>,
    git_dir: Option<&'a Path>,
    patterns: bool,
    reads_tree: bool,
}

impl<'a> Call<'a> {
    pub(crate) fn new(operation: &'static str, arguments: &[&str]) -> Self {
        Self {
            operation,
            arguments: arguments.iter().map(Into::into).collect(),
            stdin: Vec::new(),
            variables: Vec::new(),
            git_dir: None,
            patterns: false,
            reads_tree: false,
        }
    }

    pub(crate) fn with(mut self, arguments: impl IntoIterator<Item = OsString>) -> Self {
        self.arguments.extend(arguments);
        self
    }

    pub(crate) fn fed(mut self, stdin: Vec<u8>) -> Self {
        self.stdin = stdin;
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// The driver's own git folder is the common one only; HEAD and its log are those in `folder`.
    pub(crate) fn in_git_dir(mut self, folder: &'a Path) -> Self {
        self.git_dir = Some(folder);
        self
    }

    /// Pathspecs are patterns: all of them are the driver's.
    pub(crate) fn with_patterns(mut self) -> Self {
        self.patterns = true;
        self
    }

    /// May take as long as reading all files does.
    pub(crate) fn reading_the_tree(mut self) -> Self {
        self.reads_tree = true;
        self
    }
}

/// Calls of git on one repository, with a git folder that nobody else has written to.
pub(crate) struct Git<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) private: Private,
    cancel: &'a Cancel,
}

impl<'a> Git<'a> {
    pub(crate) fn new(repository: &'a Repository, cancel: &'a Cancel) -> Result<Self, RepoError> {
        Ok(Self {
            repository,
            private: Private::create(repository)?,
            cancel,
        })
    }

    /// What it wrote to stdout.
    pub(crate) fn run(&self, call: Call<'_>) -> Result<Vec<u8>, RepoError> {
        self.run_and_listen(call).map(|captured| captured.stdout)
    }

    /// The same with what it wrote to stderr.
    pub(crate) fn run_and_listen(&self, call: Call<'_>) -> Result<Captured, RepoError> {
        let operation = call.operation;
        let captured = capture(&self.command(call), self.cancel);
        self.outcome(operation, captured)
    }

    /// The same for a git that is told the last thing only when it has answered the rest with this line.
    pub(crate) fn run_then(&self, call: Call<'_>, answer: &[u8], words: &[u8]) -> Result<Vec<u8>, RepoError> {
        let operation = call.operation;
        let captured = capture_then(&self.command(call), self.cancel, answer, words);
        self.outcome(operation, captured).map(|captured| captured.stdout)
    }

    /// Hands stdout to `sink` as it comes.
    pub(crate) fn stream(&self, call: Call<'_>, sink: &mut Sink<'_>) -> Result<(), RepoError> {
        let operation = call.operation;
        let captured = capture_with(&self.command(call), self.cancel, sink);
        self.outcome(operation, captured).map(drop)
    }

    fn outcome(
        &self,
        operation: &'static str,
        captured: Result<Captured, machine_driver_process::ProcessError>,
    ) -> Result<Captured, RepoError> {
        let captured = outcome(operation, &self.repository.root, captured)?;
        match captured.ending {
            Ending::Exited(0) => Ok(captured),
            _ => Err(complaint(operation, &self.repository.root, &captured)),
        }
    }

    fn command(&self, call: Call<'_>) -> Capture {
        let repository = self.repository;
        let mut argv = vec![repository.git.clone().into_os_string()];
        let wall = if call.reads_tree { WALL_OF_THE_TREE } else { WALL };
        let env = self.environment(&call);
        argv.extend(call.arguments);
        Capture {
            argv,
            env,
            cwd: repository.root.clone(),
            stdin: call.stdin,
            wall: repository.wall.unwrap_or(wall),
            stdout_max: ANSWER_BYTES_MAX,
            stderr_max: COMPLAINT_BYTES_MAX,
        }
    }

    /// Everything that git is told; nothing is inherited.
    fn environment(&self, call: &Call<'_>) -> Vec<(OsString, OsString)> {
        let repository = self.repository;
        let (private, mut all) = (self.private.path(), Vec::new());
        let mut set = |name: &str, value: &OsStr| all.push((name.into(), value.to_owned()));
        for (name, value) in FIXED {
            set(name, value.as_ref());
        }
        set(
            "GIT_LITERAL_PATHSPECS",
            if call.patterns { "0" } else { "1" }.as_ref(),
        );
        set("GIT_DIR", call.git_dir.unwrap_or(private).as_os_str());
        set("GIT_COMMON_DIR", private.as_os_str());
        set("GIT_WORK_TREE", repository.root.as_os_str());
        set("GIT_OBJECT_DIRECTORY", repository.objects.as_os_str());
        set("GIT_INDEX_FILE", self.private.index().as_os_str());
        for (name, value) in repository.identity.iter().chain(&call.variables) {
            set(&name.to_string_lossy(), value);
        }
        all
    }
}

/// The last two are said once more in the private configuration: a git that git starts gets them too this way.
const FIXED: [(&str, &str); 21] = [
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("HOME", "/nonexistent"),
    ("XDG_CONFIG_HOME", "/nonexistent"),
    ("LC_ALL", "C"),
    ("TZ", "UTC"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_CONFIG_SYSTEM", "/dev/null"),
    ("GIT_NO_REPLACE_OBJECTS", "1"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ASKPASS", "/bin/false"),
    ("GIT_ALLOW_PROTOCOL", "none"),
    ("GIT_PAGER", "cat"),
    ("GIT_EDITOR", "/bin/false"),
    ("GIT_CONFIG_COUNT", "2"),
    ("GIT_CONFIG_KEY_0", "core.hooksPath"),
    ("GIT_CONFIG_VALUE_0", "/dev/null"),
    ("GIT_CONFIG_KEY_1", "core.fsmonitor"),
    ("GIT_CONFIG_VALUE_1", "false"),
];

/// A call that ran to its end, whatever its exit.
pub(crate) fn outcome(
    operation: &'static str,
    path: &Path,
    captured: Result<Captured, machine_driver_process::ProcessError>,
) -> Result<Captured, RepoError> {
    let failed = |detail: String| RepoError::Git {
        operation,
        path: path.to_owned(),
        detail,
    };
    let captured = captured.map_err(|e| failed(e.to_string()))?;
    match (&captured.stopped, &captured.ending) {
        (Some(Stopped::Cancelled), _) => Err(RepoError::Cancelled { operation }),
        (Some(Stopped::Output), _) => Err(failed("its answer is too long".into())),
        (Some(_), _) => Err(failed("it took too long and was stopped".into())),
        (None, Ending::CouldNotStart(why)) => Err(failed(one_line(why.as_bytes()))),
        (None, Ending::Signaled(signal)) => Err(failed(format!("it was ended by signal {signal}"))),
        (None, Ending::Exited(_)) => Ok(captured),
    }
}

/// The error for a call that said no.
pub(crate) fn complaint(operation: &'static str, path: &Path, captured: &Captured) -> RepoError {
    let said = one_line(&captured.stderr);
    let detail = match &captured.ending {
        Ending::Exited(code) if said.is_empty() => format!("exit {code}"),
        _ => said,
    };
    RepoError::Git {
        operation,
        path: path.to_owned(),
        detail,
    }
}

/// A line of hex digits, as git answers with one id.
pub(crate) fn object_id(
    operation: &'static str,
    path: &Path,
    answer: &[u8],
) -> Result<machine_driver_state::change::ObjectId, RepoError> {
    let text = std::str::from_utf8(answer).unwrap_or_default().trim_ascii_end();
    machine_driver_state::change::ObjectId::new(text).map_err(|e| RepoError::Git {
        operation,
        path: path.to_owned(),
        detail: format!("it answered {}: {e}", one_line(answer)),
    })
}
