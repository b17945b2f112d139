//! This program as a person has to type it.

use std::env;
use std::path::Path;

const NAME: &str = "machine-driver";

/// The commands that this program proposes.
#[derive(Debug, Clone)]
pub(crate) struct Me {
    program: String,
}

impl Me {
    /// By its plain name where the shell finds it so, else as it was called just now.
    pub(crate) fn new() -> Self {
        let called = env::args_os().next().unwrap_or_default();
        let called = Path::new(&called);
        let plain = called.components().count() == 1 || is_on_path(called);
        let program = if plain {
            NAME.to_owned()
        } else {
            quoted(&called.to_string_lossy())
        };
        Self { program }
    }

    /// By its plain name.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self {
            program: NAME.to_owned(),
        }
    }

    /// `machine-driver WORDS` from any other folder.
    pub(crate) fn elsewhere(&self, words: &str) -> String {
        let full = env::current_exe().ok().filter(|_| self.program != NAME);
        let program = full.map_or_else(|| self.program.clone(), |full| quoted(&full.to_string_lossy()));
        format!("{program} {words}")
    }

    /// `machine-driver WORDS GOAL`; a goal.json in this folder need not be named.
    pub(crate) fn on(&self, words: &str, goal: &Path) -> String {
        let is_default = goal == Path::new("goal.json");
        let goal = if is_default {
            String::new()
        } else {
            format!(" {}", quoted(&goal.to_string_lossy()))
        };
        format!("{} {words}{goal}", self.program)
    }
}

/// The name under which the user logged in: the account's, or what the environment says, or the number.
pub(crate) fn login() -> String {
    let id = rustix::process::getuid().as_raw().to_string();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    // name:password:uid:… (passwd(5))
    let account = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id && !name.is_empty()).then(|| name.to_owned())
    });
    let said = || {
        ["LOGNAME", "USER"]
            .iter()
            .find_map(|name| env::var(name).ok().filter(|name| !name.is_empty()))
    };
    account.or_else(said).unwrap_or_else(|| format!("uid {id}"))
}

fn is_on_path(called: &Path) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .map(|folder| folder.join(NAME))
        .find(|file| file.is_file());
    let same = |found: &Path| Some(found.canonicalize().ok()? == called.canonicalize().ok()?);
    found.and_then(|found| same(&found)).unwrap_or(false)
}

/// A text as one word of a shell command, safe to be pasted.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proposed_commands_can_be_pasted() {
        let me = Me::plain();
        assert_eq!(me.on("status", Path::new("goal.json")), "machine-driver status");
        assert_eq!(
            me.on("retry t1", Path::new("a b/g.json")),
            "machine-driver retry t1 'a b/g.json'"
        );
        assert_eq!(quoted("it's $(x)"), r"'it'\''s $(x)'");
        assert_eq!(
            (quoted(""), quoted("/tmp/x-1.json")),
            ("''".into(), "/tmp/x-1.json".into())
        );
    }
}
