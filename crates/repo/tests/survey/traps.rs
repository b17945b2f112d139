//! Traps for whoever looks at what a worker did, and states that cannot be seen.

use crate::attack::Says::{Names, Refuses};
use crate::attack::{Attack, scoped};

/// Traps for whoever looks, and states that cannot be seen.
pub(crate) const TRAPS: &[Attack] = &[
    scoped(
        "a pipe in place of a file",
        "rm README.md; mkfifo README.md",
        "test -p README.md",
        Refuses("README.md"),
    ),
    scoped(
        "a pipe in place of the ignored patterns",
        "rm .gitignore; mkfifo .gitignore",
        "test -p .gitignore",
        Refuses(".gitignore"),
    ),
    scoped(
        "a pipe in place of the index",
        "rm .git/index; mkfifo .git/index",
        "test -p .git/index",
        Refuses("index"),
    ),
    scoped(
        "a link in place of the index",
        "mv .git/index \"$OUT/index\"; ln -s \"$OUT/index\" .git/index",
        "test -L .git/index",
        Refuses("index"),
    ),
    scoped(
        "a huge index",
        "truncate -s 10G .git/index",
        "test $(stat -c %s .git/index) -gt 1000000000",
        Refuses("index"),
    ),
    scoped(
        "a folder in place of the index",
        "rm .git/index; mkdir .git/index",
        "test -d .git/index",
        Refuses("index"),
    ),
    scoped(
        "an index of nonsense",
        "echo nonsense > .git/index",
        "grep -q nonsense .git/index",
        Refuses("index"),
    ),
    scoped(
        "an index that is cut",
        "cp .git/index \"$OUT/i\"; head -c 200 \"$OUT/i\" > .git/index",
        "test $(wc -c < .git/index) = 200",
        Refuses("index"),
    ),
    scoped(
        "no index",
        "rm .git/index",
        "test ! -e .git/index",
        Names(&[
            "staged, deleted .gitignore",
            "staged, deleted .gitmodules",
            "staged, deleted README.md",
            "staged, deleted link",
            "staged, deleted sub",
            "staged, deleted tests/[ab]*.txt",
            "staged, deleted tests/a1.txt",
            "staged, deleted tests/data/x.txt",
            "staged, deleted tests/test_a.py",
            "staged, deleted tool.sh",
            "staged, deleted tracked.log",
        ]),
    ),
    scoped(
        "a split index without its other half",
        "git update-index --split-index; rm .git/sharedindex.*",
        "! git ls-files",
        Refuses("index"),
    ),
    scoped(
        "an entry that is not merged",
        "b=$(git rev-parse HEAD:README.md); printf \"0 0000000000000000000000000000000000000000\\tREADME.md\\n100644 $b 1\\tREADME.md\\n100644 $b 2\\tREADME.md\\n\" | git update-index --index-info",
        "git ls-files -u | grep -q README",
        Refuses("`README.md` is not merged"),
    ),
    scoped(
        "objects borrowed from elsewhere",
        "mkdir -p .git/objects/info; echo \"$OUT/lib/.git/objects\" > .git/objects/info/alternates; echo x > README.md",
        "test -e .git/objects/info/alternates",
        Refuses("alternates"),
    ),
    scoped(
        "the objects are elsewhere",
        "mv .git/objects \"$OUT/objects\"; ln -s \"$OUT/objects\" .git/objects",
        "test -L .git/objects",
        Refuses("objects"),
    ),
    scoped(
        "a filter",
        "echo 'README.md filter=x' > .gitattributes; git config filter.x.clean \"cat $OUT/r\"; cp README.md \"$OUT/r\"; echo x > README.md",
        "test -z \"$(git diff --name-only README.md)\" && grep -q x README.md",
        Names(&["added .gitattributes", "changed README.md"]),
    ),
    scoped(
        "a name that only git may have",
        "mkdir .GIT; echo x > .GIT/config",
        "test -e .GIT/config",
        Refuses(".GIT"),
    ),
    scoped(
        "a merge that does not end",
        "touch .git/MERGE_HEAD; echo x > README.md",
        "test -e .git/MERGE_HEAD",
        Names(&["changed README.md"]),
    ),
    scoped(
        "hooks, a monitor and an index that knows one",
        "mkdir -p .git/hooks; printf '#!/bin/sh\\ntouch \"%s/ran\"\\n' \"$OUT\" > .git/hooks/x; chmod +x .git/hooks/x; for n in post-index-change pre-commit; do cp .git/hooks/x .git/hooks/$n; done; git config core.fsmonitor \"$PWD/.git/hooks/x\"; git update-index --fsmonitor; rm -f \"$OUT/ran\"; echo x > README.md",
        "git config core.fsmonitor && test ! -e \"$OUT/ran\"",
        Names(&["changed README.md"]),
    ),
    scoped(
        "a record of the first survey that was changed",
        "for f in \"$KEPT\"/*.tree; do sed -i s/README/readme/ $f; done; echo x > README.md; git add README.md",
        "grep -q x README.md",
        Refuses("!could not be compared"),
    ),
];
