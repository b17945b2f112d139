//! The tables: names, and their options.

use super::{Interpreter, Wrapper};

const WRAPPER: Wrapper = Wrapper {
    plain: "",
    valued: "",
    long: &[],
    operands: 0,
    assigns: false,
    transparent: true,
};

pub(super) const WRAPPERS: [(&[&str], Wrapper); 16] = [
    (
        &["env"],
        Wrapper {
            plain: "i0v",
            valued: "uCP",
            long: &["--ignore-environment", "--null", "--debug"],
            assigns: true,
            ..WRAPPER
        },
    ),
    (
        &["sudo"],
        Wrapper {
            plain: "nEHSkbAPB",
            valued: "ughpCrtUTDR",
            long: &[
                "--preserve-env",
                "--non-interactive",
                "--stdin",
                "--set-home",
                "--background",
            ],
            assigns: true,
            transparent: false,
            ..WRAPPER
        },
    ),
    (
        &["doas"],
        Wrapper {
            plain: "nL",
            valued: "uC",
            transparent: false,
            ..WRAPPER
        },
    ),
    (
        &["timeout", "gtimeout"],
        Wrapper {
            plain: "vfp",
            valued: "ks",
            long: &["--foreground", "--preserve-status", "--verbose"],
            operands: 1,
            ..WRAPPER
        },
    ),
    (
        &["nice"],
        Wrapper {
            plain: "0123456789",
            valued: "n",
            ..WRAPPER
        },
    ),
    (
        &["exec"],
        Wrapper {
            plain: "cl",
            valued: "a",
            ..WRAPPER
        },
    ),
    (
        &["command"],
        Wrapper {
            plain: "p",
            ..WRAPPER
        },
    ),
    (
        &["time"],
        Wrapper {
            plain: "pvaq",
            valued: "fo",
            ..WRAPPER
        },
    ),
    (
        &["setsid"],
        Wrapper {
            plain: "cfw",
            long: &["--ctty", "--fork", "--wait"],
            ..WRAPPER
        },
    ),
    (
        &["stdbuf"],
        Wrapper {
            valued: "ioe",
            ..WRAPPER
        },
    ),
    (
        &["ionice"],
        Wrapper {
            plain: "t",
            valued: "cn",
            ..WRAPPER
        },
    ),
    (
        &["chrt"],
        Wrapper {
            plain: "abdfior",
            operands: 1,
            ..WRAPPER
        },
    ),
    (
        &["taskset"],
        Wrapper {
            plain: "ac",
            operands: 1,
            ..WRAPPER
        },
    ),
    (
        &["caffeinate"],
        Wrapper {
            plain: "dimsu",
            valued: "t",
            ..WRAPPER
        },
    ),
    (
        &["chroot"],
        Wrapper {
            operands: 1,
            transparent: false,
            ..WRAPPER
        },
    ),
    (
        &[
            "nohup", "builtin", "busybox", "toybox", "unbuffer", "chronic", "coproc",
        ],
        WRAPPER,
    ),
];

const INTERPRETER: Interpreter = Interpreter {
    inline: "",
    inline_long: &[],
    valued: "",
    data: "",
    names: "",
    first_is_text: false,
    goes_on: true,
};

pub(super) const INTERPRETERS: [(&[&str], Interpreter); 12] = [
    (
        &["python", "pypy", "pythonw"],
        Interpreter {
            inline: "c",
            valued: "WX",
            names: "m",
            goes_on: false,
            ..INTERPRETER
        },
    ),
    (
        &["perl"],
        Interpreter {
            inline: "eEM",
            valued: "I",
            ..INTERPRETER
        },
    ),
    (
        &["ruby", "jruby"],
        Interpreter {
            inline: "e",
            valued: "IrCE",
            ..INTERPRETER
        },
    ),
    (
        &["node", "nodejs", "bun", "deno", "tsx"],
        Interpreter {
            inline: "ep",
            inline_long: &["--eval", "--print", "eval"],
            valued: "rC",
            ..INTERPRETER
        },
    ),
    (
        &["php"],
        Interpreter {
            inline: "rBRE",
            inline_long: &["--run"],
            valued: "dcz",
            names: "f",
            ..INTERPRETER
        },
    ),
    (
        &["lua", "luajit"],
        Interpreter {
            inline: "e",
            valued: "l",
            ..INTERPRETER
        },
    ),
    (
        &["rscript", "r"],
        Interpreter {
            inline: "e",
            ..INTERPRETER
        },
    ),
    (
        &["julia"],
        Interpreter {
            inline: "eE",
            inline_long: &["--eval", "--print"],
            valued: "JLt",
            ..INTERPRETER
        },
    ),
    (
        &["osascript"],
        Interpreter {
            inline: "e",
            valued: "l",
            ..INTERPRETER
        },
    ),
    (
        &["guile", "racket", "elixir", "groovy", "scala", "ghc", "runghc"],
        Interpreter {
            inline: "ce",
            inline_long: &["--eval"],
            ..INTERPRETER
        },
    ),
    (
        &["awk", "gawk", "mawk", "nawk", "original-awk"],
        Interpreter {
            inline: "e",
            inline_long: &["--source"],
            valued: "Fvi",
            data: "v",
            names: "f",
            first_is_text: true,
            goes_on: false,
        },
    ),
    (
        &["sed", "gsed"],
        Interpreter {
            inline: "e",
            inline_long: &["--expression"],
            valued: "l",
            names: "f",
            first_is_text: true,
            ..INTERPRETER
        },
    ),
];

/// Programs that parse, run or evaluate arguments in ways of their own.
pub(super) const PARSING_PROGRAMS: [&str; 59] = [
    "ssh",
    "rsh",
    "mosh",
    "autossh",
    "sshpass",
    "su",
    "runuser",
    "pkexec",
    "xargs",
    "parallel",
    "watch",
    "entr",
    "script",
    "screen",
    "tmux",
    "at",
    "batch",
    "crontab",
    "flock",
    "find",
    "fd",
    "make",
    "gmake",
    "ninja",
    "just",
    "vi",
    "vim",
    "nvim",
    "ex",
    "ed",
    "emacs",
    "emacsclient",
    "gdb",
    "lldb",
    "expect",
    "tclsh",
    "wish",
    "m4",
    "bc",
    "dc",
    "psql",
    "mysql",
    "sqlite",
    "mongosh",
    "redis-cli",
    "pwsh",
    "powershell",
    "cmd",
    "nix-shell",
    "systemd-run",
    "scp",
    "rsync",
    "lftp",
    "ftp",
    "sftp",
    "socat",
    "ncat",
    "concurrently",
    "hyperfine",
];

/// Variables that change what a shell or another program runs.
pub(super) const VARIABLES: [&str; 30] = [
    "PATH",
    "IFS",
    "ENV",
    "SHELL",
    "SHELLOPTS",
    "PROMPT_COMMAND",
    "RANDOM",
    "SRANDOM",
    "SECONDS",
    "LINENO",
    "OPTIND",
    "HISTCMD",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "MANPAGER",
    "LESSOPEN",
    "LESSCLOSE",
    "BROWSER",
    "CDPATH",
    "FPATH",
    "NODE_OPTIONS",
    "PYTHONSTARTUP",
    "PYTHONPATH",
    "PERL5OPT",
    "PERL5LIB",
    "RUBYOPT",
    "RUBYLIB",
    "JAVA_TOOL_OPTIONS",
    "MAKEFLAGS",
];

/// How the names of more such variables begin.
pub(super) const VARIABLE_PREFIXES: [&str; 12] = [
    "PS",
    "LD_",
    "DYLD_",
    "BASH_",
    "GIT_CONFIG",
    "GIT_SSH",
    "GIT_EDITOR",
    "GIT_PAGER",
    "GIT_SEQUENCE",
    "GIT_ASKPASS",
    "GIT_EXTERNAL",
    "GIT_PROXY",
];
