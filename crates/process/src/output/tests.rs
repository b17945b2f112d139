use super::*;

/// Feeds `total` bytes of a counting pattern in chunks and compares everything with a plain model.
fn check(total: usize, chunk: usize, cap: u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let data: Vec<u8> = (0..total).map(|i| (i * 7 + i / 251) as u8).collect();

    let mut sink = Sink::create(&path, cap).unwrap();
    for piece in data.chunks(chunk) {
        sink.take(piece);
    }
    let output = sink.finish().unwrap();

    let last = (cap / 2) as usize;
    let first = cap as usize - last;
    let mut expected = data.clone();
    if total > cap as usize {
        let mark = format!("\n[machine-driver: {} bytes cut here]\n", total as u64 - cap);
        expected = [&data[..first], mark.as_bytes(), &data[total - last..]].concat();
    }
    assert!(
        std::fs::read(&path).unwrap() == expected,
        "file of {total}/{chunk}/{cap}"
    );
    assert_eq!(output.truncated, total > cap as usize);
    assert_eq!(output.bytes, total as u64);
    assert_eq!(output.sha256, hex(&Sha256::digest(&data)));
    assert!(output.head == data[..total.min(HEAD_BYTES)]);
    assert!(output.tail == data[total.saturating_sub(TAIL_BYTES)..]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn keeps_the_first_and_the_last_part_around_every_boundary() {
    for cap in [0, 1, 2, 7, 10] {
        for total in 0..30 {
            for chunk in [1, 3, 5, 30] {
                check(total, chunk, cap);
            }
        }
    }
}

#[test]
fn head_and_tail_are_bounded_and_exact_in_large_outputs() {
    check(3 * TAIL_BYTES + 17, 65_536, 100_000);
    check(TAIL_BYTES + 1, 1_000, 1 << 20);
}

#[test]
fn a_failed_write_is_reported_at_the_end_and_the_count_goes_on() {
    let mut sink = Sink::create(Path::new("/dev/full"), 100).unwrap();
    sink.take(b"evidence");
    assert!(sink.failed());
    sink.take(b"more");
    assert_eq!(sink.bytes(), 12);
    let error = sink.finish().unwrap_err();
    assert_eq!(error.to_string(), "could not write the output file /dev/full");
}

#[test]
fn what_stands_in_the_place_of_the_file_is_not_written_through() {
    let folder = tempfile::tempdir().unwrap();
    let (target, link, fifo) = (
        folder.path().join("target"),
        folder.path().join("link"),
        folder.path().join("fifo"),
    );
    std::fs::write(&target, "untouched").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert!(Sink::create(&link, 100).is_err());
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "untouched");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success() && Sink::create(&fifo, 100).is_err());
}
