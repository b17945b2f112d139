//! Rules of the code base that no compiler and no lint holds. Each is something that is absent.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use machine_driver_tests::repository;

/// A source file: its path from the root of the repository, and its lines without those that are only a comment.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self
            .text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// Whether it holds only tests, examples or benchmarks.
    fn is_for_tests(&self) -> bool {
        ["/tests/", "/benches/", "/examples/"]
            .iter()
            .any(|part| self.path.contains(part))
            || ["tests/", "examples/"]
                .iter()
                .any(|start| self.path.starts_with(start))
            || self.path.ends_with("/tests.rs")
            || self.is_test_module()
    }

    /// Whether its parent declares it under `#[cfg(test)]`.
    fn is_test_module(&self) -> bool {
        let path = repository().join(&self.path);
        let name = path.file_stem().unwrap().to_str().unwrap();
        let parents = [
            path.with_file_name("mod.rs"),
            path.with_file_name("lib.rs"),
            path.parent().unwrap().with_extension("rs"),
        ];
        let declared = format!("#[cfg(test)]\nmod {name};");
        parents
            .iter()
            .any(|parent| fs::read_to_string(parent).is_ok_and(|text| text.contains(&declared)))
    }
}

fn sources() -> Vec<Source> {
    let mut all = Vec::new();
    for folder in ["crates", "examples", "tests"] {
        collect(&repository().join(folder), &mut all);
    }
    assert!(
        all.len() > 80,
        "only {} files: is this the repository?",
        all.len()
    );
    all
}

fn collect(folder: &Path, all: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let path = path
                .strip_prefix(repository())
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            all.push(Source { path, text });
        }
    }
}

#[track_caller]
fn nowhere(rule: &str, is_meant: impl Fn(&Source) -> bool, is_wrong: impl Fn(&str) -> bool) {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| is_meant(source)) {
        found.extend(
            source
                .code()
                .filter(|(_, line)| is_wrong(line))
                .map(|(line, text)| format!("{}:{line}: {}", source.path, text.trim())),
        );
    }
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

/// Put together, so that this file does not hold what it looks for.
fn call(name: &str) -> String {
    format!("{name}!(")
}

#[test]
fn no_unsafe_code() {
    let word = ["un", "safe"].concat();
    let [block, function, implementation] = ["{", "fn", "impl"].map(|next| format!("{word} {next}"));
    nowhere(
        "no unsafe code",
        |_| true,
        |line| {
            [&block, &function, &implementation]
                .iter()
                .any(|one| line.contains(one.as_str()))
        },
    );
    let manifest = fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    assert!(manifest.contains(&format!("{word}_code = \"forbid\"")));
}

#[test]
fn nothing_unfinished_and_nothing_left_of_debugging() {
    let names = [["to", "do"], ["unimple", "mented"], ["db", "g"]].map(|parts| call(&parts.concat()));
    nowhere(
        "finished code only",
        |_| true,
        |line| names.iter().any(|name| line.contains(name)),
    );
}

#[test]
fn only_the_command_line_prints() {
    let names = ["println", "eprintln", "print", "eprint"].map(call);
    let prints = |line: &str| {
        names
            .iter()
            .any(|name| line.trim_start().starts_with(name) || line.contains(&format!(" {name}")))
    };
    nowhere(
        "libraries never print",
        |source| !source.path.starts_with("crates/cli/") && !source.is_for_tests(),
        prints,
    );
}

#[test]
fn lints_are_expected_and_never_allowed() {
    let (outer, inner) = (["#[", "allow("].concat(), ["#![", "allow("].concat());
    nowhere(
        "`expect` instead of `allow`",
        |_| true,
        |line| line.contains(&outer) || line.contains(&inner),
    );
}

#[test]
fn the_clock_is_read_in_one_file() {
    let read = ["SystemTime", "::now"].concat();
    let jiff = ["Timestamp", "::now"].concat();
    // A webhook's signature says when it was made. That decides nothing here.
    let meant = ["crates/driver/src/clock.rs", "crates/alert/src/webhook.rs"];
    let is_product = |source: &Source| !source.is_for_tests() && !meant.contains(&source.path.as_str());
    nowhere("time is an argument", is_product, |line| {
        line.contains(&read) || line.contains(&jiff)
    });
}

#[test]
fn the_rules_do_nothing() {
    let folder = repository().join("crates/governor");
    let lints = fs::read_to_string(folder.join("clippy.toml")).unwrap();
    for banned in [
        "std::time::SystemTime",
        "std::fs::File",
        "std::process::Command",
        "std::collections::HashMap",
        "std::env::var",
    ] {
        assert!(
            lints.contains(banned),
            "crates/governor/clippy.toml does not ban {banned}"
        );
    }
    let hands = [
        "std::fs",
        "std::process",
        "std::net",
        "std::env",
        "std::thread",
        "HashMap",
        "HashSet",
    ];
    nowhere(
        "governor does no IO",
        |source| source.path.starts_with("crates/governor/src"),
        |line| hands.iter().any(|hand| line.contains(hand)),
    );
    nowhere(
        "the machine does no IO",
        |source| source.path.starts_with("crates/state/src/state/"),
        |line| hands.iter().any(|hand| line.contains(hand)),
    );
}

#[test]
fn files_are_small() {
    let length = |source: &Source| {
        let code = source.text.split("#[cfg(test)]").next().unwrap_or_default();
        code.lines().count()
    };
    let is_meant = |source: &&Source| source.path.contains("/src/") && !source.is_for_tests();
    let all = sources();
    let large: Vec<String> = all
        .iter()
        .filter(is_meant)
        .filter(|source| length(source) > 400)
        .map(|source| format!("{} has {} lines before its tests", source.path, length(source)))
        .collect();
    assert!(large.is_empty(), "at most 400 lines:\n{}", large.join("\n"));
}

/// What each crate may stand on; `ARCHITECTURE.md` draws it.
const ARROWS: [(&str, &[&str]); 10] = [
    ("process", &[]),
    ("state", &[]),
    ("governor", &["state"]),
    ("worker", &["process", "state"]),
    ("verify", &["process", "state"]),
    ("aar", &["process", "state"]),
    ("alert", &["state"]),
    ("repo", &["governor", "process", "state"]),
    (
        "driver",
        &[
            "aar", "alert", "governor", "process", "repo", "state", "verify", "worker",
        ],
    ),
    (
        "cli",
        &[
            "alert", "driver", "governor", "process", "state", "verify", "worker",
        ],
    ),
];

#[test]
fn arrows_between_crates_point_down() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into();
    for entry in fs::read_dir(repository().join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let allowed = allowed
            .get(name.as_str())
            .unwrap_or_else(|| panic!("crates/{name} is in no arrow: add it here and to ARCHITECTURE.md"));
        for used in ours(&folder.join("Cargo.toml")) {
            assert!(
                allowed.contains(&used.as_str()),
                "crates/{name} must not know crates/{used}"
            );
        }
    }
}

/// The crates of this workspace that a manifest depends on, not only for its tests.
fn ours(manifest: &PathBuf) -> Vec<String> {
    let text = fs::read_to_string(manifest).unwrap();
    let mut section = "";
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        }
        let is_product = section == "dependencies"
            || section == "build-dependencies"
            || section.ends_with(".dependencies");
        if is_product && let Some(rest) = line.strip_prefix("machine-driver") {
            let end = rest.find(['.', ' ', '=']).unwrap_or(rest.len());
            found.push(rest[..end].strip_prefix('-').unwrap_or("driver").to_owned());
        }
    }
    found
}

#[test]
fn every_member_inherits_the_lints() {
    let crates = fs::read_dir(repository().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    for folder in crates.chain(["examples", "tests"].map(|name| repository().join(name))) {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{} has lints of its own",
            folder.display()
        );
        assert!(
            manifest.contains("license.workspace = true"),
            "{} has no licence",
            folder.display()
        );
    }
}

#[test]
fn every_library_says_what_it_is() {
    for source in sources() {
        if source.path.ends_with("src/lib.rs") || source.path.ends_with("src/main.rs") {
            assert!(
                source.text.starts_with("//!"),
                "{} begins without a word",
                source.path
            );
        }
    }
}

#[test]
fn the_papers_are_there() {
    for name in [
        "ARCHITECTURE.md",
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "deny.toml",
        ".ci/run",
    ] {
        assert!(repository().join(name).is_file(), "{name} is missing");
    }
}

/// An embedder with ports of its own compiles none of this.
/// What CONFORMANCE.md claims is shown by tests that are there.
#[test]
fn every_test_that_conformance_names_is_there() {
    let text = fs::read_to_string(repository().join("CONFORMANCE.md")).unwrap();
    let named: Vec<&str> = text
        .split('`')
        .filter(|part| part.contains(".rs") && !part.contains(' '))
        .collect();
    assert!(named.len() > 30, "{named:?}");
    for name in named {
        let (file, function) = name
            .split_once("::")
            .map_or((name, None), |(file, function)| (file, Some(function)));
        let source =
            fs::read_to_string(repository().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        if let Some(function) = function {
            // A property takes arguments, and stands deeper.
            let lines: Vec<&str> = source.lines().map(str::trim).collect();
            let is_there = lines
                .windows(2)
                .any(|two| two[0] == "#[test]" && two[1].starts_with(&format!("fn {function}(")));
            assert!(is_there, "{file} has no test {function}");
        }
    }
}

#[test]
fn without_its_features_the_driver_starts_no_process_and_knows_no_network() {
    let tree = std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "tree",
            "-p",
            "machine-driver",
            "--no-default-features",
            "-e",
            "normal",
            "--prefix",
            "none",
            "--offline",
        ])
        .current_dir(repository())
        .output();
    let Some(tree) = tree.ok().filter(|tree| tree.status.success()) else {
        machine_driver_tests::skip("what an embedder compiles", "cargo tree does not work here");
        return;
    };
    let tree = String::from_utf8(tree.stdout).unwrap();
    let names: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"machine-driver-governor"), "{names:?}");
    for heavy in [
        "duct",
        "ureq",
        "rustls",
        "ring",
        "machine-driver-repo",
        "machine-driver-process",
    ] {
        assert!(!names.contains(&heavy), "{heavy} is compiled in any case");
    }
}

/// Exactly one place can change a reference of a repository: what makes commits. (The demo makes its own repository.)
#[test]
fn one_function_changes_references() {
    let words = [
        "update-ref",
        "symbolic-ref",
        "\"branch\"",
        "\"reset\"",
        "\"commit\"",
        "\"merge\"",
        "\"rebase\"",
        "\"push\"",
        "\"tag\"",
    ];
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| !source.is_for_tests()) {
        let code = source
            .code()
            .take_while(|(_, line)| !line.contains("#[cfg(test)]"));
        for (line, text) in code {
            if words.iter().any(|word| text.contains(word)) {
                found.push(format!("{}:{line}: {}", source.path, text.trim()));
            }
        }
    }
    let is_meant = |place: &&String| {
        // Names of an event, a key and a mode, which start nothing.
        [
            "crates/state/src/",
            "crates/governor/src/dial.rs",
            "crates/cli/src/demo/",
            "crates/cli/src/args.rs",
        ]
        .iter()
        .any(|start| place.starts_with(start))
    };
    let places: Vec<&String> = found.iter().filter(|place| !is_meant(place)).collect();
    let changing: Vec<&&String> = places
        .iter()
        .filter(|place| place.contains("update-ref"))
        .collect();
    assert_eq!(changing.len(), 1, "{places:#?}");
    assert!(changing[0].starts_with("crates/repo/src/commit"), "{changing:?}");
    // And it is only reached with a permit, which only the gate makes.
    nowhere(
        "a permit is made by the gate alone",
        |source| source.path != "crates/governor/src/gate.rs" && !source.is_for_tests(),
        |line| line.contains("Permit {") && !line.contains("impl"),
    );
}
