//! Workers that may change anything but what is protected.

use crate::attack::Says::{Holds, Names, Refuses};
use crate::attack::{Attack, protected};

const TESTS: &[&str] = &["tests/**"];
const CONFTEST: &[&str] = &["**/conftest.py"];
const VENDOR: &[&str] = &["vendor/**", "sub/**"];

pub(crate) const PROTECTED: &[Attack] = &[
    protected(
        "work elsewhere",
        TESTS,
        "echo x > README.md; echo x > src/new.rs; git add -A; git commit -qm x",
        "grep -q x README.md",
        Holds,
    ),
    protected(
        "times only",
        TESTS,
        "touch -d 2001-01-01 tests/test_a.py",
        "find tests/test_a.py -not -newermt 2002-01-01 | grep -q .",
        Holds,
    ),
    protected(
        "a folder with nothing in it",
        TESTS,
        "mkdir tests/empty",
        "test -d tests/empty",
        Holds,
    ),
    protected(
        "an edit",
        TESTS,
        "echo x > tests/test_a.py",
        "grep -q x tests/test_a.py",
        Names(&["changed tests/test_a.py"]),
    ),
    protected(
        "an edit of an ignored file",
        &["build"],
        "echo x > build/cache",
        "grep -q x build/cache",
        Names(&["changed build/cache"]),
    ),
    protected(
        "an edit of an ignored file with its time put back",
        &["build"],
        "cp -p build/cache \"$OUT/c\"; echo cachE > build/cache; touch -r \"$OUT/c\" build/cache",
        "grep -q cachE build/cache && test ! build/cache -nt \"$OUT/c\"",
        Names(&["changed build/cache"]),
    ),
    protected(
        "an ignored conftest.py",
        CONFTEST,
        "echo x > build/conftest.py",
        "test -z \"$(git status --porcelain)\" && test -e build/conftest.py",
        Names(&["added build/conftest.py"]),
    ),
    protected(
        "a conftest.py by a new ignore",
        CONFTEST,
        "echo conftest.py >> .gitignore; echo x > tests/conftest.py",
        "git check-ignore -q tests/conftest.py && test -e tests/conftest.py",
        Names(&["added tests/conftest.py"]),
    ),
    protected(
        "a conftest.py in a repository of its own",
        CONFTEST,
        "git init -q build/r; echo x > build/r/conftest.py",
        "test -e build/r/conftest.py",
        Names(&["added build/r/conftest.py"]),
    ),
    protected(
        "a conftest.py that is staged alone",
        CONFTEST,
        "echo x > conftest.py; git add conftest.py; rm conftest.py",
        "git ls-files | grep -q conftest",
        Names(&["staged, added conftest.py"]),
    ),
    protected(
        "a conftest.py that is a link",
        CONFTEST,
        "echo x > \"$OUT/c\"; ln -s \"$OUT/c\" build/conftest.py",
        "test -L build/conftest.py",
        Names(&["added build/conftest.py"]),
    ),
    protected(
        "a conftest.py that is a pipe",
        CONFTEST,
        "mkfifo build/conftest.py",
        "test -p build/conftest.py",
        Names(&["added build/conftest.py"]),
    ),
    protected(
        "in a nested repository",
        VENDOR,
        "echo x > vendor/lib/code.c",
        "grep -q x vendor/lib/code.c",
        Names(&["changed vendor/lib/code.c"]),
    ),
    protected(
        "in a submodule",
        VENDOR,
        "echo x > sub/code.c; echo x > sub/new.c",
        "test -e sub/new.c",
        Names(&["added sub/new.c", "changed sub/code.c"]),
    ),
    protected(
        "a hook of a nested repository",
        VENDOR,
        "mkdir vendor/lib/.git/hooks; echo x > vendor/lib/.git/hooks/pre-commit",
        "test -e vendor/lib/.git/hooks/pre-commit",
        Names(&["added vendor/lib/.git/hooks/pre-commit"]),
    ),
    protected(
        "the .git of the tree is not for rules to say",
        &["**"],
        "mkdir -p .git/info; echo x > .git/info/exclude; git config a.b c",
        "git config a.b",
        Holds,
    ),
    protected(
        "the folder becomes a link",
        TESTS,
        "mv tests \"$OUT/tests\"; ln -s \"$OUT/tests\" tests",
        "test -L tests",
        Names(&[
            "deleted tests/[ab]*.txt",
            "deleted tests/a1.txt",
            "deleted tests/data/x.txt",
            "deleted tests/test_a.py",
        ]),
    ),
    protected(
        "an ignored folder becomes a link to the same",
        &["build/**"],
        "mv build \"$OUT/build\"; ln -s \"$OUT/build\" build",
        "test -L build",
        Names(&["deleted build/cache"]),
    ),
    protected(
        "a folder above becomes a link",
        &["tests/data/*.txt"],
        "cp -r tests \"$OUT/tests\"; rm -r tests; ln -s \"$OUT/tests\" tests",
        "test -L tests",
        Names(&["deleted tests/data/x.txt"]),
    ),
    protected(
        "a folder below becomes a link",
        TESTS,
        "mv tests/data \"$OUT/data\"; ln -s \"$OUT/data\" tests/data",
        "test -L tests/data",
        Names(&["added tests/data", "deleted tests/data/x.txt"]),
    ),
    protected(
        "a second name of the same file outside",
        TESTS,
        "ln tests/test_a.py other; echo x > other",
        "grep -q x tests/test_a.py",
        Names(&["changed tests/test_a.py"]),
    ),
    protected(
        "a bit to run it",
        &["build/**"],
        "chmod +x build/cache",
        "test -x build/cache",
        Names(&["mode changed build/cache"]),
    ),
    protected(
        "a file becomes a pipe",
        &["build/**"],
        "rm build/cache; mkfifo build/cache",
        "test -p build/cache",
        Names(&["changed build/cache"]),
    ),
    protected(
        "a file becomes a link with the same content",
        &["build/**"],
        "mv build/cache \"$OUT/c\"; ln -s \"$OUT/c\" build/cache",
        "test -L build/cache",
        Names(&["changed build/cache"]),
    ),
    protected(
        "a rename",
        &["build/**"],
        "mv build/cache build/c",
        "test -e build/c",
        Names(&["added build/c", "deleted build/cache"]),
    ),
    protected(
        "a name with a line break and one with an entry in it",
        &["build/**"],
        "echo x > \"$(printf 'build/a\\n100644 0\\tb')\"",
        "ls build | grep -q 100644",
        Names(&["added build/a\\n100644 0\\tb"]),
    ),
    protected(
        "a name that is not UTF-8",
        &["build/**"],
        "echo x > \"$(printf 'build/\\377')\"",
        "test $(ls build | wc -l) = 2",
        Names(&["added build/\u{fffd}"]),
    ),
    protected(
        "a file that its name makes look like a glob",
        &["tests/[[]ab][*].txt"],
        "echo x > 'tests/[ab]*.txt'; echo x > tests/a1.txt",
        "grep -q x tests/a1.txt",
        Names(&["changed tests/[ab]*.txt"]),
    ),
    protected(
        "content that the tree's attributes hide",
        TESTS,
        "echo '* text=auto eol=lf' > .gitattributes; printf 'test\\r\\n' > tests/test_a.py",
        "test -z \"$(git diff --name-only tests)\" && test $(wc -c < tests/test_a.py) = 6",
        Names(&["changed tests/test_a.py"]),
    ),
    protected(
        "content that an ident hides",
        TESTS,
        "echo '*.py ident' > .gitattributes; printf '$Id$\\n' >> tests/test_a.py; git add -A; git commit -qm x; printf 'test\\n$Id: evil $\\n' > tests/test_a.py",
        "test -z \"$(git diff --name-only tests)\" && grep -q evil tests/test_a.py",
        Names(&["changed tests/test_a.py"]),
    ),
    protected(
        "another case",
        TESTS,
        "mkdir TESTS; echo x > TESTS/test_a.py",
        "test -e TESTS/test_a.py",
        Holds,
    ),
    protected(
        "a path that is longer than a path may be",
        &["build/**"],
        "n=$(printf 'd%.0s' $(seq 200)); cd build; i=0; while [ $i -lt 25 ]; do mkdir $n; cd -P ./$n; i=$((i+1)); done; echo hidden > f; touch \"$OUT/deep\"",
        "test -e \"$OUT/deep\"",
        Refuses("too long"),
    ),
    protected(
        "a file with more bytes than are looked at",
        &["build/**"],
        "truncate -s 200G build/big",
        "test -e build/big",
        Refuses("bytes"),
    ),
    protected(
        "both rules at once",
        TESTS,
        "echo x > tests/test_a.py; echo x > README.md",
        "grep -q x README.md",
        Names(&["changed README.md", "changed tests/test_a.py"]),
    )
    .within(&["src", "tests"]),
];

/// In a folder without git.
pub(crate) const PLAIN: &[Attack] = &[
    protected(
        "work that is allowed",
        TESTS,
        "echo x > README.md; mkdir a; echo x > a/b",
        "test -e a/b",
        Holds,
    ),
    protected(
        "work in scope",
        &[],
        "echo x > src/lib.rs",
        "grep -q x src/lib.rs",
        Holds,
    )
    .within(&["src"]),
    protected(
        "an edit",
        TESTS,
        "echo x > tests/test_a.py",
        "grep -q x tests/test_a.py",
        Names(&["changed tests/test_a.py"]),
    ),
    protected(
        "an edit out of scope with its time put back",
        &[],
        "cp -p README.md \"$OUT/r\"; printf 'readme\\n' > README.md; touch -r \"$OUT/r\" README.md",
        "grep -q readme README.md",
        Names(&["changed README.md"]),
    )
    .within(&["src"]),
    protected(
        "what git would ignore is not",
        &[],
        "echo x > build/new",
        "test -e build/new",
        Names(&["added build/new"]),
    )
    .within(&["src"]),
    protected(
        "a repository that was not there",
        &[],
        "mkdir .git; echo x > .git/HEAD",
        "test -d .git",
        Names(&["added .git/HEAD"]),
    )
    .within(&["src"]),
    protected(
        "all but the bit",
        &[],
        "chmod -x vendor/lib/code.c; chmod +x tool.sh; rm link; mkfifo link",
        "test -p link",
        Names(&["changed link", "mode changed tool.sh"]),
    )
    .within(&["src"]),
];
