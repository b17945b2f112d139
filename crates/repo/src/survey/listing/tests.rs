use super::*;

const ID: &str = "ce013625030ba8dba906f756967f9e9ca394464a";

fn list(entries: &[(u32, &str)]) -> Vec<u8> {
    let mut list = Vec::new();
    for (mode, path) in entries {
        let (mode, path) = (*mode, path.as_bytes());
        push(&mut list, &Entry { mode, id: ID, path });
    }
    list
}

#[test]
fn what_is_written_is_read_and_no_name_forges_an_entry() {
    let names = ["a", "a\n100644 0\tb", "b\tc", "c ", "d/\u{1}"];
    let entries: Vec<(u32, &str)> = names.iter().map(|name| (0o100_644, *name)).collect();
    let bytes = list(&entries);
    let read = parse(&bytes).unwrap();
    assert!(
        read.iter()
            .map(|entry| entry.path)
            .eq(names.iter().map(|name| name.as_bytes()))
    );
    assert_eq!(parse(b""), Some(Vec::new()));
}

#[test]
fn what_is_not_a_list_is_not_read() {
    for bad in [
        list(&[(0o100_644, "b"), (0o100_644, "a")]),
        list(&[(0o100_644, "a"), (0o120_000, "a")]),
        list(&[(0o100_644, "")]),
        b"100644 ce01\ta\0".to_vec(),
        format!("100644 {ID}\ta").into_bytes(),
        format!("100644 {} \ta\0", &ID[1..]).into_bytes(),
        format!("644 {ID}\ta\0").into_bytes(),
        format!("100648 {ID}\ta\0").into_bytes(),
        format!("100644 {}\ta\0", ID.to_uppercase()).into_bytes(),
        format!("100644 {ID} a\0").into_bytes(),
        b"\0".to_vec(),
    ] {
        assert_eq!(parse(&bad), None, "{:?}", String::from_utf8_lossy(&bad));
    }
}

/// Ids as `git mktree` and `git write-tree` of git 2.47 gave them.
#[test]
fn trees_have_the_ids_that_git_gives_them() {
    let of = |entries: &[(u32, &str)]| tree_of(&parse(&list(entries)).unwrap(), Format::Sha1).unwrap();
    assert_eq!(of(&[]), Format::Sha1.empty_tree());
    assert_eq!(tree_of(&[], Format::Sha256).unwrap(), Format::Sha256.empty_tree());
    let all = [
        (0o100_644, "a"),
        (0o100_755, "d.z"),
        (0o100_644, "d/a"),
        (0o120_000, "d/e/c"),
        (0o100_644, "d0"),
        (0o160_000, "s"),
    ];
    assert_eq!(of(&all), "fcbbd12185130f6e61eb3eb2ca095e835a9772c9");
}

#[test]
fn what_differs_is_told_by_kind() {
    let before = list(&[
        (0o100_644, "bit"),
        (0o100_644, "gone"),
        (0o100_644, "kind"),
        (0o100_644, "same"),
    ]);
    let after = list(&[
        (0o100_755, "bit"),
        (0o120_000, "kind"),
        (0o100_644, "new"),
        (0o100_644, "same"),
    ]);
    let (before, after) = (parse(&before).unwrap(), parse(&after).unwrap());
    let told = |all: Vec<Difference>| -> Vec<(String, How)> {
        let one = |one: Difference| (one.path.display().to_string(), one.how);
        all.into_iter().map(one).collect()
    };
    let expect = |all: [(&str, How); 4]| all.map(|(path, how)| (path.to_owned(), how)).to_vec();
    assert_eq!(
        told(differences(&before, &after, Place::Tree)),
        expect([
            ("bit", How::Mode),
            ("gone", How::Deleted),
            ("kind", How::Changed),
            ("new", How::Added)
        ])
    );
    assert_eq!(
        told(differences(&after, &before, Place::Tree)),
        expect([
            ("bit", How::Mode),
            ("gone", How::Added),
            ("kind", How::Changed),
            ("new", How::Deleted)
        ])
    );
}
