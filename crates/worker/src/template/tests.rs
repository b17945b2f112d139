use super::*;

fn shell(text: &str) -> Result<Template, TemplateError> {
    Template::parse(&CommandLine::Shell(text.to_owned()))
}

fn argv(arguments: &[&str]) -> Result<Template, TemplateError> {
    Template::parse(&CommandLine::Argv(
        arguments.iter().map(|a| (*a).to_owned()).collect(),
    ))
}

/// The script that a string command becomes.
fn script(text: &str) -> String {
    let template = shell(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    template
        .command(|_| unreachable!())
        .pop()
        .unwrap()
        .into_string()
        .unwrap()
}

#[test]
fn a_placeholder_is_quoted_for_its_place() {
    for (written, expected) in [
        ("claude -p {task}", r#"claude -p "${MACHINE_TASK}""#),
        (r#"claude -p "{task}""#, r#"claude -p "${MACHINE_TASK}""#),
        ("claude -p '{task}'", r#"claude -p ''"${MACHINE_TASK}"''"#),
        ("a 'x {task} y'", r#"a 'x '"${MACHINE_TASK}"' y'"#),
        (r#"a "x\" {task} y""#, r#"a "x\" ${MACHINE_TASK} y""#),
        (r"a x\' {task}", r#"a x\' "${MACHINE_TASK}""#),
        (r"a \\{task}", r#"a \\"${MACHINE_TASK}""#),
        ("a --msg={task}", r#"a --msg="${MACHINE_TASK}""#),
        (
            "a {task_id} {attempt}",
            r#"a "${MACHINE_TASK_ID}" "${MACHINE_ATTEMPT}""#,
        ),
        (
            "a {feedback} <{feedback_file}",
            r#"a "${MACHINE_FEEDBACK}" <"${MACHINE_FEEDBACK_FILE}""#,
        ),
        (
            "a {task_file} {goal_file}",
            r#"a "${MACHINE_TASK_FILE}" "${MACHINE_GOAL}""#,
        ),
        (
            "X={task} a; a 2>{task_id}.log",
            r#"X="${MACHINE_TASK}" a; a 2>"${MACHINE_TASK_ID}".log"#,
        ),
        ("a {task} # it's fine", r#"a "${MACHINE_TASK}" # it's fine"#),
        ("a x#'{task}'", r#"a x#''"${MACHINE_TASK}"''"#),
        ("a 'it''s' {task}", r#"a 'it''s' "${MACHINE_TASK}""#),
    ] {
        assert_eq!(script(written), expected);
    }
}

#[test]
fn other_braces_are_left_alone_unless_all_are_doubled() {
    for (written, expected) in [
        ("awk '{print $1}' f", "awk '{print $1}' f"),
        ("awk '{{print $1}}' f", "awk '{print $1}' f"),
        (
            "awk '{{print $1}}' f; a {task}",
            r#"awk '{print $1}' f; a "${MACHINE_TASK}""#,
        ),
        ("find . -name {} ; echo {{}}", "find . -name {} ; echo {{}}"),
        (
            "a '{\"t\": \"{task}\"}'",
            "a '{\"t\": \"'\"${MACHINE_TASK}\"'\"}'",
        ),
        (
            "a '{{\"t\": \"{task}\"}}'",
            "a '{\"t\": \"'\"${MACHINE_TASK}\"'\"}'",
        ),
        ("a '{{{task}}}'", "a '{'\"${MACHINE_TASK}\"'}'"),
        ("a {{{{}}}}", "a {{}}"),
        ("a {{{}}}", "a {{{}}}"),
        ("a ${{X}}", "a ${X}"),
        ("echo {tasks} {Task} { task }", "echo {tasks} {Task} { task }"),
        ("broken 'quote", "broken 'quote"),
    ] {
        assert_eq!(script(written), expected);
    }
    assert_eq!(shell("a '{{x}}'").unwrap().warns(), [Warning::BracesMadeSingle]);
    assert_eq!(
        shell("a {{task}}").unwrap_err().to_string(),
        "`{{task}}` at byte 2 could be a placeholder or a literal; write `{task}` for the value"
    );
    let array = argv(&["a", "{{x}}", "{task}"]).unwrap().command(|_| "v".into());
    assert_eq!(array, ["a", "{x}", "v"]);
    let array = argv(&["a", "{{x}}", "{y}"]).unwrap().command(|_| "v".into());
    assert_eq!(array, ["a", "{{x}}", "{y}"]);
}

#[test]
fn a_place_where_no_expansion_can_stand_is_named() {
    for (written, byte, place) in [
        ("a `b {task}`", 5, Place::Backticks),
        ("a \"`b {task}`\"", 6, Place::Backticks),
        ("a $(b {task})", 6, Place::Substitution),
        ("a \"$(b '{task}')\"", 8, Place::Substitution),
        ("a $(b $(c) \"{task}\")", 12, Place::Substitution),
        ("a $(case x in x) b {task};; esac)", 19, Place::Substitution),
        ("a ${X:-{task}}", 7, Place::Parameter),
        ("a \"${task}\"", 4, Place::Parameter),
        ("a $(( {attempt} + 1 ))", 6, Place::Arithmetic),
        ("a $'x{task}'", 5, Place::DollarQuotes),
        ("a <<EOF\n{task}\nEOF", 8, Place::HereDocument),
        ("a <<'EOF' | b\n\t{task}\nEOF\n", 15, Place::HereDocument),
        ("a <<-{task}\n", 5, Place::HereDocument),
        ("a # {task}", 4, Place::Comment),
        ("a \\\n # {task}", 7, Place::Comment),
        (r"a \{task}", 3, Place::Backslash),
        (r#"a "\\\{task}""#, 6, Place::Backslash),
        ("case x in {task}) b;; esac", 10, Place::Name),
    ] {
        match shell(written) {
            Err(error @ TemplateError::Misplaced { at, place: found, .. }) => {
                assert_eq!((at.byte, found), (byte, place), "{written}");
                assert!(error.to_string().contains("\"$MACHINE_"), "{error}");
                assert!(error.help().contains("\"$MACHINE_"), "{error}");
            }
            other => panic!("{written}: {other:?}"),
        }
    }
}

#[test]
fn offsets_are_those_of_the_command_as_written() {
    let error = shell("a '{{é}}' $(b {task})").unwrap_err();
    assert_eq!(
        error.at(),
        Some(At {
            argument: None,
            byte: 15
        })
    );
    let error = argv(&["a", "x{task}"]).unwrap_err();
    assert_eq!(
        error.at(),
        Some(At {
            argument: Some(1),
            byte: 1
        })
    );
}

const NESTED: [&str; 71] = [
    r#"bash -c "claude {task}""#,
    "bash -c 'claude {task}'",
    "sh -c {task}",
    "sh -ec 'a {task}'",
    "sh -o errexit -c 'a {task}'",
    "/usr/bin/zsh -c 'a {task}'",
    "dash -c 'a {task}'",
    "ksh -c 'a {task}'",
    "ba\"sh\" -c 'a {task}'",
    r"\sh -c 'a {task}'",
    "BASH -c 'a {task}'",
    "bash-5.2 -c 'a {task}'",
    "fish -c 'a {task}'",
    "eval a {task}",
    "eval 'a {task}'",
    "builtin eval {task}",
    "ssh host a {task}",
    "ssh host 'a {task}'",
    "su -c 'a {task}' bob",
    "xargs -I% sh -c 'a {task}'",
    "env bash -c 'a {task}'",
    "env -i X=1 bash -c 'a {task}'",
    "env 'X=1' bash -c 'a {task}'",
    "/usr/bin/env -u HOME bash -c 'a {task}'",
    "sudo sh -c 'a {task}'",
    "sudo -u bob sh -c 'a {task}'",
    "timeout 5 sh -c 'a {task}'",
    "timeout -k 1 5 sh -c 'a {task}'",
    "nice -n 5 sh -c 'a {task}'",
    "nice -5 sh -c 'a {task}'",
    "nohup sh -c 'a {task}' &",
    "X=1 exec sh -c 'a {task}'",
    "if true; then sh -c 'a {task}'; fi",
    "true && ! sh -c 'a {task}'",
    "(cd x; sh -c 'a {task}')",
    "{ sh -c 'a {task}'; }",
    "case x in x) sh -c 'a {task}';; esac",
    "f() { sh -c 'a {task}'; }; f",
    "python -c 'print(\"{task}\")'",
    "python3.12 -uc {task}",
    "perl -e 'print \"{task}\"'",
    "perl -lne 'print \"{task}\"' f",
    "node -e 'a({task})'",
    "node --eval='a({task})'",
    "deno eval 'a({task})'",
    "ruby -e 'a {task}'",
    "php -r 'a({task});'",
    "awk '{print \"{task}\"}' f",
    "awk -F: '/{task}/' f",
    "gawk -e '/{task}/' f",
    "sed 's/x/{task}/' f",
    "sed -e s/x/{task}/ f",
    "find . -name {task}",
    "docker run --rm image sh -c 'a {task}'",
    "kubectl exec pod -- bash -lc 'a {task}'",
    "trap 'a {task}' EXIT",
    ". {task_file}",
    "source {task_file}",
    "sh {task_file}",
    "bash {task}",
    "python {task_file}",
    "unset {task}",
    "printf {task} x",
    "declare {task}",
    "set {task}",
    "PATH={task} a",
    "PS4={task}",
    "env LD_PRELOAD={task} a",
    "perl -e 'print @ARGV' {task}",
    "sed s/x/y/ {task}",
    "awk -f p.awk {task}",
];

#[test]
fn a_nested_interpreter_gets_no_value_in_its_program_text() {
    for written in NESTED {
        match shell(written) {
            Err(error @ TemplateError::RunAgain { .. }) => {
                assert!(error.to_string().contains("\"$MACHINE_"), "{error}");
            }
            other => panic!("{written}: {other:?}"),
        }
    }
    for written in [
        ["sh", "-c", "a {task}"].as_slice(),
        &["sh", "-c", "{task}"],
        &["bash", "-lc", "{task}"],
        &["env", "X=1", "sh", "-c", "{task}"],
        &["docker", "run", "i", "sh", "-c", "{task}"],
        &["python3", "-c", "{task}"],
        &["python3", "{task_file}"],
        &["ssh", "host", "{task}"],
        &["sh", "-c", "eval \"$1\"", "sh", "{task}"],
    ] {
        assert!(argv(written).is_err(), "{written:?}");
    }
}

#[test]
fn a_value_is_never_a_program() {
    for written in [
        "{task}",
        "{task} a",
        "\"{task}\" a",
        "./{task_id}",
        "bin{task}",
        "X=1 {task}",
        "a | {task}",
        "a && {task}",
        "a\n{task}",
        "if {task}; then a; fi",
        "env {task}",
        "env - {task}",
        "env X=1 {task}",
        "sudo -u bob {task}",
        "timeout 5 {task}",
        "nice -n 5 {task}",
        "exec {task}",
        "command {task}",
        "a=b {task}=c",
    ] {
        assert!(
            matches!(shell(written), Err(TemplateError::AsProgram { .. })),
            "{written}: {:?}",
            shell(written)
        );
    }
    assert!(matches!(argv(&["{task}"]), Err(TemplateError::AsProgram { .. })));
    assert!(matches!(
        argv(&["env", "X=1", "{task}"]),
        Err(TemplateError::AsProgram { .. })
    ));
}

#[test]
fn what_cannot_be_followed_is_refused() {
    for written in [
        "T={task}; eval \"a $T\"",
        "T={task}; sh -c \"a $T\"",
        "for t in {task}; do bash -c \"a $t\"; done",
        "set -- {task}; $1",
        "export T={task}; sh -c 'eval \"$T\"'",
        "T={task}; echo $((T))",
        "T={task}; : ${!T}",
        "T={task}; : \"${T@P}\"",
        "echo {task} | sh",
        "printf %s {task} | bash -s",
        "printf %s {task} | python3 -",
        "bash <(echo {task})",
        "sh <<< {task}",
        "cat <<< {task}",
        "$AGENT {task}",
        "\"$AGENT\" {task}",
        "{sh,-c,{task}}",
        "((x = 1)); a {task}",
        "[[ 1 -eq {task} ]]",
        "declare -i x={task}",
        "local -n x={task}",
        "alias a=eval; a {task}",
        "a {task} 'open",
        "a {task} \"open",
        "a {task} \\",
        "a {task} $(b",
        "a {task} `b",
        "a {task} )",
        "a {task} <<EOF",
        "a {task} <<EOF\n$(b)\nEOF",
        "a {task} $\"x\"",
        "a {task} $'x'",
        "a {task} \"${X:-\"y\"}\"",
        "x=(a {task})",
        "env -S 'sh -c x' {task}",
        "sudo -s a {task}",
        "timeout --unknown 5 a {task}",
        "bash --rcfile x y {task}",
        "a <\\\n<EOF {task}",
        "case {task} in a",
        "function f { a {task}; }",
    ] {
        assert!(shell(written).is_err(), "{written}: {:?}", shell(written));
    }
}

const ORDINARY: [&str; 56] = [
    "claude -p {task}",
    "claude -p \"{task}\" --dangerously-skip-permissions 2>&1 | tee -a log.txt",
    "cd \"$(git rev-parse --show-toplevel)\" && codex exec -- {task}",
    "\"$HOME/bin/agent\" --text={task}",
    "~/bin/agent {task}",
    "./run.sh {task}",
    "bash ./run.sh \"{task}\"",
    "sh -eu run.sh {task_id} '{task}'",
    "python3 agent.py --task {task}",
    "python3 -m agent {task}",
    "node agent.js {task}",
    "env X=1 claude -p {task}",
    "env \"X={task}\" claude",
    "timeout -k 5 60 nice claude -p {task}",
    "sh -c 'claude -p \"$1\"' sh {task}",
    "bash -c 'agent \"$MACHINE_TASK\"' && echo {task_id}",
    "bash -c '[[ -n $1 ]] && claude -p \"$1\"' _ {task}",
    "printf '%s' {task} > task.txt",
    "echo {task} | claude -p",
    "claude < {task_file}",
    "if [ -n {feedback} ]; then claude -p {feedback}; else claude -p {task}; fi",
    "for f in a b; do claude -p {task} $f; done",
    "case {attempt} in 1) a {task};; 2|3*) b {task};; (*) c {task} ;; esac",
    "while read -r l; do a {task}; done < f",
    "agent {task} <<'EOF'\n`anything` $(at all) '\nEOF\nb {task}",
    "agent {task} <<-E\n\thello $USER\n\tE\n",
    "trap 'rm -f x' EXIT; agent {task}; rc=$?; exit $rc",
    "set -e; . \"$HOME/.profile\"; a {task}",
    "set -- {task}; a \"$1\"",
    "a {task} `date` \"`date`\"",
    "a {task} ${X:-1} ${#X} \"${X%%.*}\" $((2 * 3)) $$ $?",
    "a \\\n  -p {task}",
    "a {task} &",
    "awk -v id={task_id} '{print id}' f",
    "awk '{print}' {task_file}",
    "perl -e 'print @ARGV' -- {task}",
    "docker run image agent {task}",
    "git commit -m {task}",
    "f() { a \"$1\"; }; f {task}",
    "(a {task}) | b",
    "! a {task}",
    "nohup claude -p \"{task}\" > out.log 2>&1 &",
    ". venv/bin/activate && python agent.py \"{task}\"",
    "aider --message \"{task}\" --yes *.py",
    "npx -y @anthropic-ai/claude-code -p '{task}'",
    "uv run python agent.py {task}",
    "claude --allowedTools Bash -c -p {task}",
    "claude -p \"{task}\" --allowedTools \"Bash(git:*),Edit\"",
    "cat {task_file} | claude -p",
    "claude -p {task} --output-format json | jq '{usd: .cost}' > \"$MACHINE_USAGE_FILE\"",
    "claude -p {task} | python3 -c 'import sys; print({1: sys.stdin.read()})'",
    "docker run -v \"$PWD:/w\" image claude -p {task}",
    "bash -lc 'claude -p \"$1\"' -- {task}",
    "if ! claude -p {task}; then exit 75; fi",
    "[ -f x ] && claude -p {task} || exit 1",
    "codex exec --full-auto \"{task}\" 2>&1 | tee -a log",
];

#[test]
fn ordinary_commands_pass() {
    for written in ORDINARY {
        assert!(
            shell(written).is_ok(),
            "{written}: {}",
            shell(written).unwrap_err()
        );
    }
    for written in [
        ["sh", "-c", "claude \"$1\"", "sh", "{task}"].as_slice(),
        &["claude", "-p", "{task}"],
        &["env", "X=1", "claude", "{task}"],
        &["bash", "-c", "do \"$MACHINE_TASK\""],
    ] {
        assert!(
            argv(written).is_ok(),
            "{written:?}: {}",
            argv(written).unwrap_err()
        );
    }
}

#[test]
fn without_a_placeholder_any_shell_goes() {
    for written in [
        "bash -c \"$X\"",
        "eval $X",
        "cat <<EOF\n$(a)\nEOF",
        "'open",
        "bash -c 'do \"$MACHINE_TASK\"'",
    ] {
        assert_eq!(script(written), written);
    }
}

#[test]
fn in_an_array_a_placeholder_is_a_whole_argument() {
    let template = argv(&["a", "{task}", "", "x y", "{attempt}"]).unwrap();
    let command = template.command(|p| format!("<{}>", p.name()).into());
    assert_eq!(command, ["a", "<task>", "", "x y", "<attempt>"]);
    let error = argv(&["a", "--msg={task}"]).unwrap_err();
    assert_eq!(
        error,
        TemplateError::PartOfArgument {
            placeholder: Placeholder::Task,
            at: At {
                argument: Some(1),
                byte: 6
            }
        }
    );
    assert!(error.help().contains("argument of its own"));
}

#[test]
fn nothing_and_nul_are_refused() {
    assert_eq!(shell(" \n"), Err(TemplateError::Empty));
    assert_eq!(argv(&[]), Err(TemplateError::Empty));
    assert_eq!(argv(&["", "x"]), Err(TemplateError::Empty));
    assert!(matches!(shell("a\0"), Err(TemplateError::Nul { .. })));
    assert!(matches!(argv(&["a", "\0"]), Err(TemplateError::Nul { .. })));
}

#[test]
fn use_of_the_text_is_found() {
    for (written, uses) in [
        ("a {task}", true),
        ("a '{task}'", true),
        ("a \"$MACHINE_TASK\"", true),
        ("bash -c 'a \"${MACHINE_TASK}\"'", true),
        ("a {task_file}", false),
        ("a $MACHINE_TASK_FILE $MACHINE_TASK_ID", false),
        ("a", false),
    ] {
        assert_eq!(shell(written).unwrap().uses_task_text(), uses, "{written}");
    }
    assert!(argv(&["a", "{task}"]).unwrap().uses_task_text());
    assert!(
        argv(&["python", "-c", "os.environ['MACHINE_TASK']"])
            .unwrap()
            .uses_task_text()
    );
    assert!(!argv(&["a", "{task_id}"]).unwrap().uses_task_text());
}

#[test]
fn the_program_is_known_where_it_can_be() {
    for (written, program) in [
        ("claude -p {task}", Some("claude")),
        ("X=1 Y=2 /opt/bin/claude", Some("/opt/bin/claude")),
        ("env -i X=1 claude", Some("claude")),
        ("exec nohup claude", Some("claude")),
        ("timeout 5 claude", Some("claude")),
        ("sudo -u bob claude", Some("sudo")),
        ("bash run.sh", Some("bash")),
        ("python3 x.py", Some("python3")),
        ("make x", Some("make")),
        ("if true; then a; fi", None),
        ("if a; then b; fi", Some("a")),
        ("echo hi", None),
        ("cd x && claude", None),
        ("PATH=/x claude", None),
        ("f() { a; }; f", Some("a")),
        ("$X a", None),
        ("~/bin/a", None),
        ("'open", None),
        ("", None),
    ] {
        assert_eq!(
            shell(written).ok().as_ref().and_then(Template::program),
            program,
            "{written}"
        );
    }
    assert_eq!(argv(&["claude", "-p"]).unwrap().program(), Some("claude"));
}

#[test]
fn a_value_that_could_be_an_option_is_warned_about() {
    for (written, warned) in [
        ("claude -p {task}", true),
        ("claude -p \"{task}\"", true),
        ("claude -p '{task}'", true),
        ("claude -- {task}", false),
        ("claude --msg={task}", false),
        ("claude \"do {task}\"", false),
        ("claude {task_file} {attempt}", false),
        ("X={task} claude > {task_id}", false),
        ("printf %s {task}", false),
        ("echo {task}", true),
    ] {
        let template = shell(written).unwrap();
        let found = template
            .warns()
            .iter()
            .any(|w| matches!(w, Warning::MayBeAnOption { .. }));
        assert_eq!(found, warned, "{written}");
    }
    let warning = argv(&["claude", "{task}"]).unwrap().warns()[0];
    assert!(warning.to_string().contains("argument 1, byte 0"));
}
