use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use machine_driver_state::time::Timestamp;
use tempfile::TempDir;

use super::*;

/// A folder for a goal, and a desk in it that is only looked at when a test does.
struct Place {
    folder: TempDir,
    room: Room,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::of(&folder.path().join("goal.json"));
        let room = Room {
            paths,
            stop: Stop::new(),
            book: Mutex::default(),
        };
        Self { folder, room }
    }

    fn control(&self, name: &str) -> PathBuf {
        self.room.paths.control.join(name)
    }

    fn look(&self) -> Found {
        let mut book = self.room.book();
        self.room.look(&mut book);
        std::mem::take(&mut book.found)
    }

    fn put(&self, kind: OverrideKind) -> Request {
        let request = Request::new(kind, "ann", "smoke", Timestamp::from_millis(7));
        let (folder, _) = Folder::make(&self.room.paths).unwrap();
        folder.put(&request, &self.room.paths).unwrap();
        request
    }
}

#[test]
fn a_halt_is_noted_once_and_stops_the_run() {
    let place = Place::new();
    assert!(place.look().requests.is_empty());
    let request = place.put(OverrideKind::Halt);
    let found = place.look();
    assert_eq!(found.requests.len(), 1);
    assert_eq!(found.requests[0].request, request);
    assert_eq!(place.room.stop.asked(), Some(Cut::Halt));
    assert!(place.control(&format!("{}.taken", request.id.as_str())).is_file());
    assert!(place.look().requests.is_empty());
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let taken = place.control(&format!("{}.taken", request.id.as_str()));
    assert_eq!((mode(&place.room.paths.control), mode(&taken)), (0o700, 0o600));
}

#[test]
fn a_dial_that_is_turned_down_stops_nothing() {
    let place = Place::new();
    place.put(OverrideKind::Dial);
    assert_eq!(place.look().requests.len(), 1);
    assert_eq!(place.room.stop.asked(), None);
}

#[test]
fn what_is_no_request_is_moved_aside_and_told_once() {
    let place = Place::new();
    place.look();
    let id = "0f".repeat(16);
    let id = id.as_str();
    let lies = |name: &str, text: &str| fs::write(place.control(name), text).unwrap();
    lies(&format!("{id}.json"), r#"{"kind":"resume"}"#);
    lies("approve.json", "{}");
    lies("notes.txt", "x");
    lies(&format!("1{}.json", &id[1..]), &"x".repeat(BYTES as usize));
    symlink("/etc/passwd", place.control(&format!("2{}.json", &id[1..]))).unwrap();
    fs::create_dir(place.control(&format!("3{}.json", &id[1..]))).unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        place.control(&format!("4{}.json", &id[1..])),
        rustix::fs::Mode::RWXU,
    )
    .unwrap();
    let found = place.look();
    let told: Vec<String> = found.refused.iter().map(|told| told.what.clone()).collect();
    assert_eq!((found.requests.len(), told.len()), (0, 7), "{told:#?}");
    for says in [
        "asks for `resume`",
        "its name",
        "more than",
        "it is a link",
        "not a file",
    ] {
        assert!(told.iter().any(|what| what.contains(says)), "{says}: {told:#?}");
    }
    assert!(found.refused.iter().all(|told| told.kept_as.is_some()));
    assert!(place.look().refused.is_empty());
    assert_eq!(place.room.stop.asked(), None);
}

const BYTES: u64 = super::super::BYTES_MAX + 1;

#[test]
fn a_flood_costs_no_more_and_hides_no_request_for_long() {
    let place = Place::new();
    place.look();
    for number in 0..NAMES_MAX * 3 {
        fs::write(place.control(&format!("{number}.json")), "{}").unwrap();
    }
    let told = place.look().refused;
    assert_eq!(told.len(), TOLD_MAX);
    assert!(place.folder.path().join("control.refused-1").is_dir());
    place.put(OverrideKind::Halt);
    assert_eq!(place.look().requests.len(), 1);
}

#[test]
fn requests_without_end_are_carried_out_a_few_times() {
    let place = Place::new();
    for _ in 0..NOTED_MAX + 5 {
        place.put(OverrideKind::Dial);
    }
    assert_eq!(place.look().requests.len(), NOTED_MAX);
    place.put(OverrideKind::Halt);
    place.look();
    assert_eq!(
        place.room.stop.asked(),
        Some(Cut::Halt),
        "a halt is heard all the same"
    );
}

#[test]
fn whatever_stands_in_place_of_the_folder_an_operator_is_heard() {
    let stand: [&dyn Fn(&Place); 5] = [
        &|place| fs::write(&place.room.paths.control, "x").unwrap(),
        &|place| symlink("/tmp", &place.room.paths.control).unwrap(),
        &|place| symlink("/nowhere/at/all", &place.room.paths.control).unwrap(),
        &|place| {
            rustix::fs::mkfifoat(rustix::fs::CWD, &place.room.paths.control, rustix::fs::Mode::RWXU).unwrap();
        },
        &|_| (),
    ];
    for stand in stand {
        let place = Place::new();
        place.look();
        place.put(OverrideKind::Dial);
        fs::remove_dir_all(&place.room.paths.control).unwrap();
        stand(&place);
        place.put(OverrideKind::Halt);
        assert_eq!(place.look().requests.len(), 1);
    }
}

#[test]
fn the_pipe_is_made_again_and_a_file_in_its_place_is_not_one() {
    let place = Place::new();
    place.look();
    let first = place.room.book().pipe.clone().unwrap();
    for _ in 0..2 {
        fs::remove_file(place.control("wake")).unwrap();
        fs::write(place.control("wake"), "x").unwrap();
        assert!(place.look().refused.is_empty());
        let second = place.room.book().pipe.clone().unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
    }
}

#[test]
fn the_thread_hears_a_halt_at_once_and_ends_with_the_desk() {
    let place = Place::new();
    let desk = Desk::start(&place.room.paths, &place.room.stop).unwrap();
    let request = place.put(OverrideKind::Halt);
    place.room.stop.wait(Duration::from_secs(60));
    while place.room.stop.asked().is_none() {
        place.room.stop.wait(Duration::from_secs(60)); // Woken for another reason.
    }
    assert_eq!(desk.take().requests.len(), 1);
    desk.settled(&request.id);
    let (folder, _) = Folder::make(&place.room.paths).unwrap();
    assert_eq!(folder.standing(&request.id), super::super::Standing::Gone);
}
