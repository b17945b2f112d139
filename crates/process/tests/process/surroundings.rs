//! What a job sees.

use std::os::unix::ffi::OsStringExt;
use std::process::Command;

use machine_driver_process::Ending;

use crate::bench::{Bench, run};
use crate::helper;

crate::trials![
    the_environment_is_exactly_what_was_given,
    a_variable_of_100_kib_passes_byte_exact,
    stdin_is_empty,
    signals_are_as_a_fresh_process_expects,
    stray_descriptors_are_closed,
    a_guarded_job_has_no_terminal_and_its_own_session,
    programs_are_found_where_the_job_would_find_them,
];

fn text(bench: &Bench) -> String {
    String::from_utf8(bench.output()).unwrap()
}

fn the_environment_is_exactly_what_was_given() {
    let bench = Bench::new();
    for runner in bench.runners() {
        let mut job = bench.sh("");
        job.argv = vec!["env".into()];
        job.env.push(("TASK".into(), "$(reboot) 'x'".into()));
        run(&runner, &job);
        let mut lines: Vec<String> = text(&bench).lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(lines, ["PATH=/usr/local/bin:/usr/bin:/bin", "TASK=$(reboot) 'x'"]);
    }
}

fn a_variable_of_100_kib_passes_byte_exact() {
    let bench = Bench::new();
    let value: Vec<u8> = (0..100 << 10).map(|i: u32| (i * 31 % 255 + 1) as u8).collect();
    for runner in bench.runners() {
        let mut job = bench.sh(r#"printf %s "$X""#);
        job.env
            .push(("X".into(), std::ffi::OsString::from_vec(value.clone())));
        assert_eq!(run(&runner, &job).ending, Ending::Exited(0));
        assert!(bench.output() == value);
    }
}

fn stdin_is_empty() {
    let bench = Bench::new();
    for runner in bench.runners() {
        run(&runner, &bench.sh("readlink /proc/$$/fd/0; cat"));
        assert_eq!(text(&bench), "/dev/null\n");
    }
}

fn signals_are_as_a_fresh_process_expects() {
    const HANGUP: u64 = 1;
    // Under nohup(1) this program ignores it, and so does what it starts without a guardian. Nothing else may be.
    let [_, ours] = masks(&std::fs::read_to_string("/proc/self/status").unwrap());
    let bench = Bench::new();
    for runner in bench.runners() {
        let mut job = bench.sh("");
        job.argv = ["cat", "/proc/self/status"].map(Into::into).to_vec();
        run(&runner, &job);
        let [blocked, ignored] = masks(&text(&bench));
        assert_eq!([blocked, ignored & !(ours & HANGUP)], [0, 0]);
    }
}

/// The signals that are blocked and those that are ignored, of a process's status.
fn masks(status: &str) -> [u64; 2] {
    ["SigBlk:", "SigIgn:"].map(|key| {
        let mask = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        // Beyond 31 lie the signals that the C library keeps to itself.
        u64::from_str_radix(mask.trim(), 16).unwrap() & 0x7fff_ffff
    })
}

fn stray_descriptors_are_closed() {
    let program = helper::command("list-descriptors");
    let arguments: Vec<_> = program.get_args().collect();
    let output = Command::new("sh")
        .args(["-c", "exec 7</dev/null 9>/dev/null; exec \"$@\"", "sh"])
        .arg(program.get_program())
        .args(arguments)
        .output()
        .unwrap();
    // 3 is the folder that ls reads.
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "0 1 2 3 \n0 1 2 3 \n");
}

fn a_guarded_job_has_no_terminal_and_its_own_session() {
    let bench = Bench::new();
    run(
        &bench.guarded(),
        &bench.sh("cut -d' ' -f6,7 /proc/$$/stat; cut -d' ' -f6 /proc/$PPID/stat; echo $PPID"),
    );
    let text = text(&bench);
    let fields: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(fields[1], "0"); // no controlling terminal
    assert_eq!((fields[0], fields[2]), (fields[3], fields[3])); // the session is the guardian's
}

fn programs_are_found_where_the_job_would_find_them() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    for (folder, mode) in [("plain", 0o644), ("real", 0o755)] {
        std::fs::create_dir(bench.path(folder)).unwrap();
        let file = bench.path(folder).join("tool");
        std::fs::write(&file, "#!/bin/sh\necho \"$0 in $PWD\"\n").unwrap();
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let here = bench.folder.path().display().to_string();
    for runner in bench.runners() {
        // Found in PATH, which may be relative to the job's folder, past a file that is no program.
        let mut job = bench.sh("");
        job.argv = vec!["tool".into()];
        job.env = vec![("PATH".into(), "plain:real".into())];
        run(&runner, &job);
        assert!(
            text(&bench).ends_with(&format!("real/tool in {here}\n")),
            "{}",
            text(&bench)
        );
        job.argv = vec!["real/tool".into()];
        run(&runner, &job);
        assert!(
            text(&bench).ends_with(&format!("real/tool in {here}\n")),
            "{}",
            text(&bench)
        );
    }
}
