//! Where the binary under test is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The `machine-driver` that is tested: the one in `MACHINE_DRIVER_BIN`, else one built now, in the profile and target
/// folder of this test. Cargo hands a package only its own binaries, hence the build; nothing is done where it is fresh.
///
/// # Panics
/// Where it cannot be built.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os("MACHINE_DRIVER_BIN").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    // TARGET[/TRIPLE]/PROFILE/deps/it-HASH
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let name = profile.file_name().unwrap().to_str().unwrap();
    let above = profile.parent().unwrap();
    let target = above
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
        .unwrap();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([
        "build",
        "--quiet",
        "--locked",
        "--package=machine-driver-cli",
        "--bin=machine-driver",
    ]);
    cargo.arg("--manifest-path").arg(repository().join("Cargo.toml"));
    cargo
        .arg("--profile")
        .arg(if name == "debug" { "dev" } else { name });
    cargo.arg("--target-dir").arg(target);
    if target != above {
        cargo.arg("--target").arg(above.file_name().unwrap());
    }
    let built = cargo.output().expect("cargo could not be started");
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    profile.join("machine-driver")
}

/// The root of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
