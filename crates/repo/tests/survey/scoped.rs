//! Workers that may change `src/**` and nothing else.

use crate::attack::Says::{Holds, Names};
use crate::attack::{Attack, scoped};

/// Honest work.
pub(crate) const HONEST: &[Attack] = &[
    scoped(
        "an edit in scope",
        "echo new > src/lib.rs",
        "grep -q new src/lib.rs",
        Holds,
    ),
    scoped(
        "a new file in scope",
        "mkdir src/a; echo x > src/a/b.rs",
        "test -e src/a/b.rs",
        Holds,
    ),
    scoped(
        "a file in scope deleted and another renamed",
        "rm src/lib.rs; mv src/util.rs src/u.rs",
        "test -e src/u.rs",
        Holds,
    ),
    scoped(
        "staging in scope",
        "echo new > src/lib.rs; git add src",
        "git diff --cached --name-only | grep -q lib.rs",
        Holds,
    ),
    scoped(
        "a commit in scope",
        "echo new > src/lib.rs; git commit -qam x",
        "git log -1 --format=%s | grep -q '^x$'",
        Holds,
    ),
    scoped(
        "times only",
        "touch -d 2001-01-01 README.md src/lib.rs tests/test_a.py",
        "find README.md -not -newermt 2002-01-01 | grep -q .",
        Holds,
    ),
    scoped(
        "the index refreshed",
        "touch -d 2001-01-01 README.md; git status > /dev/null; git update-index -q --refresh; touch \"$OUT/was\"",
        "test -e \"$OUT/was\"",
        Holds,
    ),
    scoped(
        "an index of another version",
        "git update-index --index-version 4",
        "head -c 8 .git/index | od -An -tx1 | grep -q '00 00 00 04'",
        Holds,
    ),
    scoped(
        "an index that is split",
        "git update-index --split-index",
        "ls .git/sharedindex.*",
        Holds,
    ),
    scoped(
        "an ignored file: what it is, is not for a scope to say",
        "echo x > build/new; echo x > notes.log",
        "test -e build/new",
        Holds,
    ),
    scoped(
        "a file edited and put back",
        "cp README.md \"$OUT/r\"; echo x > README.md; cat \"$OUT/r\" > README.md",
        "test -e \"$OUT/r\"",
        Holds,
    ),
    scoped(
        "a path that a glob in a rule names by a character class",
        "echo x > 'src/[ab]*.rs'",
        "test -e 'src/[ab]*.rs'",
        Holds,
    )
    .within(&["src/[[]ab]*.rs"]),
    scoped(
        "work in two places that are both allowed",
        "echo x > src/lib.rs; echo x > README.md",
        "grep -q x README.md",
        Holds,
    )
    .within(&["src", "README.md"]),
    scoped(
        "a file that only will be added",
        "echo x > src/new.rs; git add -N src/new.rs",
        "git ls-files src/new.rs | grep -q new",
        Holds,
    ),
    scoped(
        "garbage thrown away",
        "git reflog expire --expire=now --all; git gc -q --prune=now",
        "ls .git/objects/pack/*.pack",
        Holds,
    ),
];

/// Edits out of scope that are plain to see.
pub(crate) const PLAIN: &[Attack] = &[
    scoped(
        "an edit",
        "echo x > README.md",
        "grep -q x README.md",
        Names(&["changed README.md"]),
    ),
    scoped(
        "an edit of the same size",
        "printf 'readme\\n' > README.md",
        "grep -q readme README.md",
        Names(&["changed README.md"]),
    ),
    scoped(
        "a new file",
        "echo x > evil.py",
        "test -e evil.py",
        Names(&["added evil.py"]),
    ),
    scoped(
        "a deletion",
        "rm tests/test_a.py",
        "test ! -e tests/test_a.py",
        Names(&["deleted tests/test_a.py"]),
    ),
    scoped(
        "a rename out of scope",
        "mv src/lib.rs lib.rs",
        "test -e lib.rs",
        Names(&["added lib.rs"]),
    ),
    scoped(
        "a rename into scope",
        "mv README.md src/",
        "test -e src/README.md",
        Names(&["deleted README.md"]),
    ),
    scoped(
        "a copy over a file",
        "cp src/lib.rs README.md",
        "grep -q lib README.md",
        Names(&["changed README.md"]),
    ),
    scoped(
        "a bit to run it",
        "chmod +x README.md",
        "test -x README.md",
        Names(&["mode changed README.md"]),
    ),
    scoped(
        "a file becomes a link",
        "rm README.md; ln -s src/lib.rs README.md",
        "test -L README.md",
        Names(&["changed README.md"]),
    ),
    scoped(
        "a file becomes a link with its content as target",
        "rm tests/data/x.txt; ln -s 'data\n' tests/data/x.txt",
        "test -L tests/data/x.txt",
        Names(&["changed tests/data/x.txt"]),
    ),
    scoped(
        "a link becomes a file with its target as content",
        "rm link; printf README.md > link",
        "test ! -L link",
        Names(&["changed link"]),
    ),
    scoped(
        "a link leads elsewhere",
        "ln -sfn /etc/passwd link",
        "readlink link | grep -q passwd",
        Names(&["changed link"]),
    ),
    scoped(
        "a file becomes a folder",
        "rm README.md; mkdir README.md; echo x > README.md/x",
        "test -d README.md",
        Names(&["added README.md/x", "deleted README.md"]),
    ),
    scoped(
        "a folder becomes a file",
        "rm -r tests/data; echo x > tests/data",
        "test -f tests/data",
        Names(&["added tests/data", "deleted tests/data/x.txt"]),
    ),
    scoped(
        "a folder becomes a link to one with the same names",
        "cp -r tests/data \"$OUT/data\"; echo x > \"$OUT/data/x.txt\"; rm -r tests/data; ln -s \"$OUT/data\" tests/data",
        "test -L tests/data",
        Names(&["added tests/data", "deleted tests/data/x.txt"]),
    ),
    scoped(
        "the scope becomes a link out of it",
        "mv src \"$OUT/src\"; ln -s \"$OUT/src\" src",
        "test -L src",
        Names(&["added src"]),
    ),
    scoped(
        "through a link in scope",
        "ln -s ../tests src/t; echo x > src/t/test_a.py",
        "grep -q x tests/test_a.py",
        Names(&["changed tests/test_a.py"]),
    ),
    scoped(
        "through a second name of the same file",
        "ln README.md src/r; echo x > src/r",
        "grep -q x README.md",
        Names(&["changed README.md"]),
    ),
    scoped(
        "a name that differs by case",
        "echo x > readme.md",
        "test -e readme.md",
        Names(&["added readme.md"]),
    ),
    scoped(
        "the scope by another case",
        "mkdir SRC; echo x > SRC/lib.rs",
        "test -e SRC/lib.rs",
        Names(&["added SRC/lib.rs"]),
    ),
    scoped(
        "the scope in another normal form",
        "mkdir \"$(printf 'e\\314\\201')\"; echo x > \"$(printf 'e\\314\\201')/x\"",
        "ls | grep -q \"$(printf 'e\\314\\201')\"",
        Names(&["added e\u{301}/x"]),
    )
    .within(&["\u{e9}/**"]),
    scoped(
        "a line break in a name",
        "echo x > \"$(printf 'a\\n  changed b')\"",
        "ls -b | grep -q '^a.n'",
        Names(&["added a\\n  changed b"]),
    ),
    scoped(
        "characters of globs in a name",
        "echo x > 'src*'; echo x > '['",
        "test -e 'src*'",
        Names(&["added [", "added src*"]),
    ),
    scoped(
        "a file that a glob could be taken to name",
        "echo x > 'tests/[ab]*.txt'; echo x > tests/a1.txt",
        "grep -q x tests/a1.txt",
        Names(&["changed tests/[ab]*.txt"]),
    )
    .within(&["tests/a?.txt"]),
    scoped(
        "a name that begins like the scope",
        "echo x > srcs; mkdir src2; echo x > src2/a",
        "test -e src2/a",
        Names(&["added src2/a", "added srcs"]),
    ),
    scoped(
        "a name like an option",
        "echo x > ./--all; echo x > ./:!README.md",
        "test -e ./--all",
        Names(&["added --all", "added :!README.md"]),
    ),
    scoped(
        "the scope of nothing",
        "echo x > src/lib.rs",
        "grep -q x src/lib.rs",
        Names(&["changed src/lib.rs"]),
    )
    .within(&["docs/**"]),
];
