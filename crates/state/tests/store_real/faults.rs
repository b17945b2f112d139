//! Disks that are full or read-only.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::*;

#[test]
fn a_folder_without_write_permission_is_named() {
    let f = folder();
    if File::create(f.dir.path().join("probe")).is_ok() && is_root() {
        println!("SKIP: root writes into read-only folders");
        return;
    }
    fs::set_permissions(f.dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let error = FileStore::open(&f.paths, Access::Create).unwrap_err();
    fs::set_permissions(f.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(
        error.to_string().ends_with("driver-log.jsonl: permission denied"),
        "{error}"
    );
    assert!(error.next_step().contains("writable"));
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// A file system of its own, where this user may mount one.
struct Mount(PathBuf);

impl Mount {
    fn tmpfs(at: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "none"])
            .arg(at)
            .stderr(Stdio::null())
            .status();
        mount
            .is_ok_and(|status| status.success())
            .then(|| Self(at.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_stops_the_log_and_the_next_start_goes_on() {
    let f = folder();
    let Some(mount) = Mount::tmpfs(&f.dir.path().join("small"), "size=64k") else {
        println!("SKIP: no small file system can be mounted");
        return;
    };
    let paths = Paths::of(&mount.0.join("goal.json"));
    fs::write(&paths.goal, "{}").unwrap();
    let (mut store, _, _) = open(&paths).unwrap();
    store.goal_text().unwrap();
    let mut written = 0;
    let error = loop {
        match store.append(at(written), event(written)) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("could not append record {written} to ")),
        "{text}"
    );
    assert!(
        text.ends_with("no space left on device") || text.contains("is the disk full?"),
        "{text}"
    );
    assert!(error.next_step().starts_with("Free some space"));
    assert!(matches!(
        store.append(at(0), event(0)),
        Err(StoreError::Poisoned { .. })
    ));
    let error = store.checkpoint(&"x".repeat(9000)).unwrap_err().to_string();
    assert!(
        error.contains("could not write") && error.ends_with("no space left on device"),
        "{error}"
    );
    assert_eq!(
        fs::read_to_string(&paths.goal).unwrap(),
        "{}",
        "the old one stands"
    );
    drop(store);
    let (_, read, _) = open(&paths).unwrap();
    assert_eq!(read.len() as u64, written);
}

#[test]
fn a_read_only_file_system_is_named() {
    let f = folder();
    let Some(mount) = Mount::tmpfs(&f.dir.path().join("ro"), "size=64k,ro") else {
        println!("SKIP: no read-only file system can be mounted");
        return;
    };
    let error = FileStore::open(&Paths::of(&mount.0.join("goal.json")), Access::Create).unwrap_err();
    assert!(error.to_string().ends_with("read-only file system"), "{error}");
    assert!(error.next_step().contains("writable"));
}
