//! What is known about programs that parse one of their arguments once more, or run what their arguments name.
//!
//! Option letters are those of POSIX.1-2024, XCU chapter 3, of GNU coreutils, bash, zsh and sudo, and of each interpreter's own manual.

mod tables;

/// What a program does with its arguments.
#[derive(Debug, Clone, Copy)]
pub(super) enum Habit {
    /// Runs another program, which follows.
    Wrapper(Wrapper),
    /// A shell.
    Shell {
        /// Whether its language is near enough to `sh` for its program text to be read here.
        sh: bool,
    },
    /// Another interpreter.
    Interpreter(Interpreter),
    /// Parses, runs or evaluates its arguments in ways that are not followed here: none may hold a value.
    Parses,
    /// Runs the file that its first argument names.
    Sources,
    /// Takes values in `NAME=value` only.
    Declares,
    /// `printf`: the format has to be known.
    Formats,
    /// `test` and `[`.
    Tests,
    /// Takes a program text of `sh`, joined from its arguments.
    Evaluates,
    /// A command of the shell for which a value is data.
    Data,
    /// A command of the shell that takes numbers and names: no value, but what else is only known at run time.
    Numbers,
    /// `set`: values after `--` only.
    Sets,
    /// `trap`: a program text first.
    Traps,
    /// Declares a loop variable.
    Loops,
}

/// How the command that a wrapper runs is found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wrapper {
    /// Letters of options without an argument.
    pub(super) plain: &'static str,
    /// Letters of options whose argument follows.
    pub(super) valued: &'static str,
    /// Long options without an argument.
    pub(super) long: &'static [&'static str],
    /// Arguments between its options and the command.
    pub(super) operands: usize,
    /// Whether `NAME=value` may stand before the command.
    pub(super) assigns: bool,
    /// Whether the command is looked up where the wrapper itself would be, so that it can be named in its place.
    pub(super) transparent: bool,
}

/// How an interpreter is told its program.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interpreter {
    /// Letters of options whose argument is program text.
    pub(super) inline: &'static str,
    /// Long options, and words, whose argument is program text.
    pub(super) inline_long: &'static [&'static str],
    /// Letters of other options whose argument follows.
    pub(super) valued: &'static str,
    /// Letters of those whose argument may be a value.
    pub(super) data: &'static str,
    /// Letters of options that name the program, so that no operand does.
    pub(super) names: &'static str,
    /// Whether the first operand is program text, not a file.
    pub(super) first_is_text: bool,
    /// Whether it looks for options after its program text, so that a value could be one.
    pub(super) goes_on: bool,
}

/// The habit of a program or a command of the shell, by its name without folders.
pub(super) fn habit(name: &str) -> Option<Habit> {
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix(".exe").unwrap_or(&name);
    by_name(name)
        .or_else(|| by_name(name.trim_end_matches(|c: char| c.is_ascii_digit() || ".-_".contains(c))))
}

fn by_name(name: &str) -> Option<Habit> {
    find(name, &tables::WRAPPERS)
        .map(Habit::Wrapper)
        .or_else(|| find(name, &tables::INTERPRETERS).map(Habit::Interpreter))
        .or_else(|| shell_command(name))
        .or_else(|| parsing_program(name))
}

fn find<T: Copy>(name: &str, table: &[(&[&str], T)]) -> Option<T> {
    table
        .iter()
        .find(|(names, _)| names.contains(&name))
        .map(|(_, habit)| *habit)
}

fn shell_command(name: &str) -> Option<Habit> {
    Some(match name {
        "sh" | "bash" | "rbash" | "dash" | "ash" | "ksh" | "mksh" | "lksh" | "pdksh" | "oksh" | "yash"
        | "zsh" | "posh" | "loksh" => Habit::Shell { sh: true },
        "fish" | "csh" | "tcsh" | "nu" | "xonsh" | "elvish" | "rc" | "es" | "osh" | "ysh" => {
            Habit::Shell { sh: false }
        }
        "eval" => Habit::Evaluates,
        "trap" => Habit::Traps,
        "." | "source" => Habit::Sources,
        "set" => Habit::Sets,
        "printf" => Habit::Formats,
        "test" | "[" | "[[" => Habit::Tests,
        "for" | "select" => Habit::Loops,
        "export" | "readonly" | "local" | "declare" | "typeset" => Habit::Declares,
        "echo" | ":" | "true" | "false" | "cd" | "pwd" => Habit::Data,
        "exit" | "return" | "break" | "continue" | "shift" | "wait" | "kill" | "umask" | "ulimit"
        | "times" | "hash" | "type" => Habit::Numbers,
        "alias" | "unalias" | "read" | "unset" | "let" | "getopts" | "mapfile" | "readarray" | "bind"
        | "complete" | "compgen" | "compopt" | "enable" | "history" | "fc" | "shopt" | "setopt"
        | "emulate" | "autoload" | "zmodload" | "pushd" | "popd" | "jobs" | "fg" | "bg" | "function" => {
            Habit::Parses
        }
        _ => return None,
    })
}

/// Whether it is a program that parses its arguments, not a command of the shell.
pub(super) fn is_program(name: &str) -> bool {
    parsing_program(name).is_some()
}

fn parsing_program(name: &str) -> Option<Habit> {
    tables::PARSING_PROGRAMS.contains(&name).then_some(Habit::Parses)
}

/// Whether a variable of this name changes what the shell or a program runs, so that no value may be assigned to it.
pub(super) fn is_dangerous_variable(name: &str) -> bool {
    tables::VARIABLES.contains(&name)
        || tables::VARIABLE_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}
