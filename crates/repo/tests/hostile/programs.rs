//! Traps that make git run a program: hooks, configuration, attributes, nested repositories.

use crate::entry::Entry;

pub(crate) const HOOKS: &[Entry] = &[
    Entry::runs("hook pre-commit", "hook pre-commit", "git commit -qam x"),
    Entry::runs("hook commit-msg", "hook commit-msg", "git commit -qam x"),
    Entry::runs(
        "hook prepare-commit-msg",
        "hook prepare-commit-msg",
        "git commit -qam x",
    ),
    Entry::runs("hook post-commit", "hook post-commit", "git commit -qam x"),
    Entry::runs(
        "hook pre-merge-commit",
        "hook pre-merge-commit; git branch -f other $(git commit-tree -p HEAD~1 -m o HEAD~1^{tree})",
        "git commit -qam x; git merge -q --no-edit other",
    ),
    Entry::runs("hook post-index-change", "hook post-index-change", "git add -A"),
    Entry::runs(
        "hook reference-transaction",
        "hook reference-transaction",
        "git update-ref refs/heads/x HEAD",
    ),
    Entry::runs(
        "hook post-checkout",
        "hook post-checkout",
        "git worktree add -q ../w HEAD",
    ),
    Entry::runs(
        "hook post-rewrite",
        "hook post-rewrite",
        "git commit -q --amend -m x",
    ),
    Entry::runs(
        "hook pre-auto-gc",
        "hook pre-auto-gc; git config gc.auto 1; git config gc.autoDetach false; \
        i=0; while [ $i -lt 600 ]; do echo $i; i=$((i+1)); done | while read n; do echo blob; echo mark :$((n+1)); echo \"data <<E\"; echo $n; echo E; done | git -c fastimport.unpackLimit=1000 fast-import --quiet",
        "git commit -qam x; git gc --auto -q",
    ),
    Entry::runs(
        "core.hooksPath",
        "git config core.hooksPath \"$OUT/hooks\"; mkdir -p \"$OUT/hooks\"; \
        for h in pre-commit post-commit reference-transaction post-index-change post-checkout; do ln -s \"$EVIL\" \"$OUT/hooks/$h\"; done",
        "git commit -qam x",
    ),
    Entry::runs(
        "hook written as configuration",
        "git config hook.evil.event pre-commit; git config hook.evil.command \"$EVIL\"",
        "git commit -qam x",
    ),
    Entry::runs(
        "hooks folder is a link",
        "mkdir -p \"$OUT/hooks\"; ln -s \"$EVIL\" \"$OUT/hooks/reference-transaction\"; ln -s \"$EVIL\" \"$OUT/hooks/pre-commit\"; \
        rm -rf .git/hooks; ln -s \"$OUT/hooks\" .git/hooks",
        "git commit -qam x",
    ),
];

pub(crate) const CONFIG: &[Entry] = &[
    Entry::runs("core.fsmonitor", "git config core.fsmonitor \"$EVIL\"", "git status"),
    Entry::runs("core.fsmonitor, hook version 1", "git config core.fsmonitorHookVersion 1; git config core.fsmonitor \"$EVIL\"", "git add -A"),
    Entry::runs("gpg.program", "git config commit.gpgSign true; git config gpg.program \"$EVIL\"", "git commit -qam x"),
    Entry::runs("gpg.ssh.program", "git config commit.gpgSign true; git config gpg.format ssh; git config user.signingKey k; git config gpg.ssh.program \"$EVIL\"", "git commit -qam x"),
    Entry::runs("gpg.x509.program", "git config commit.gpgSign true; git config gpg.format x509; git config gpg.x509.program \"$EVIL\"", "git commit -qam x"),
    Entry::runs("gpg.ssh.defaultKeyCommand", "git config commit.gpgSign true; git config gpg.format ssh; git config gpg.ssh.defaultKeyCommand \"$EVIL\"", "git commit -qam x"),
    Entry::runs("log.showSignature", "git config log.showSignature true; git config gpg.program \"$EVIL\"; \
        c=$(git cat-file commit HEAD | sed 's/^committer .*/&\\ngpgsig -----BEGIN PGP SIGNATURE-----\\n \\n x\\n -----END PGP SIGNATURE-----/' | git hash-object -t commit -w --stdin); \
        git update-ref refs/heads/signed $c", "git log -1 signed"),
    Entry::runs("diff.external", "git config diff.external \"$EVIL\"", "git diff"),
    Entry::runs("diff driver", "git config diff.e.command \"$EVIL\"; echo '* diff=e' > .git/info/attributes", "git diff"),
    Entry::runs("diff driver named by the tree", "git config diff.e.command \"$EVIL\"; echo '* diff=e' > .gitattributes", "git diff").converts(),
    Entry::runs("textconv", "git config diff.e.textconv \"$EVILCAT\"; echo '* diff=e' > .git/info/attributes", "git diff; git show --textconv HEAD:README.md"),
    Entry::runs("merge driver", "git config merge.e.driver \"$EVIL\"; echo '* merge=e' > .git/info/attributes", "git stash -q; \
        git checkout -q -b a HEAD~1; echo a > README.md; git commit -qam a; git checkout -q -b b HEAD~1; echo b > README.md; git commit -qam b; git merge -q a"),
    Entry::runs("core.pager", "git config core.pager \"$EVILCAT\"", "script -qec 'git log' /dev/null < /dev/null"),
    Entry::runs("pager.log", "git config pager.log \"$EVILCAT\"", "script -qec 'git log' /dev/null < /dev/null"),
    Entry::runs("core.editor", "git config core.editor \"$EVIL\"", "git commit -qa"),
    Entry::runs("sequence.editor", "git config sequence.editor \"$EVIL\"", "git stash -q; git rebase -q -i HEAD~1"),
    Entry::runs("core.sshCommand", "git config core.sshCommand \"$EVIL\"; git config remote.origin.url ssh://x.invalid/y", "git fetch -q origin"),
    Entry::runs("core.gitProxy", "git config core.gitProxy \"$EVIL\"; git config remote.origin.url git://x.invalid/y", "git fetch -q origin"),
    Entry::runs("core.askPass", "git config core.askPass \"$EVIL\"; git config credential.useHttpPath false", "printf 'protocol=https\\nhost=x.invalid\\n\\n' | git credential fill"),
    Entry::runs("credential.helper", "git config credential.helper \"!$EVIL\"", "printf 'protocol=https\\nhost=x.invalid\\n\\n' | GIT_TERMINAL_PROMPT=0 git credential fill"),
    Entry::runs("alias", "for a in status-all st ci snapshot; do git config alias.$a \"!$EVIL\"; done", "git snapshot"),
    Entry::runs("include.path", "printf '[core]\\n\\tfsmonitor = %s\\n' \"$EVIL\" > \"$OUT/included\"; git config include.path \"$OUT/included\"", "git status"),
    Entry::runs("include.path into the tree", "printf '[core]\\n\\tfsmonitor = %s\\n' \"$EVIL\" > new.txt; git config include.path ../new.txt", "git status"),
    Entry::runs("includeIf gitdir", "printf '[core]\\n\\tfsmonitor = %s\\n' \"$EVIL\" > \"$OUT/included\"; git config includeIf.gitdir:/.path \"$OUT/included\"", "git status"),
    Entry::runs("includeIf onbranch", "printf '[core]\\n\\tfsmonitor = %s\\n' \"$EVIL\" > \"$OUT/included\"; git config includeIf.onbranch:main.path \"$OUT/included\"", "git status"),
    Entry::runs("config.worktree", "git config extensions.worktreeConfig true; git config core.repositoryFormatVersion 1; printf '[core]\\n\\tfsmonitor = %s\\n' \"$EVIL\" > .git/config.worktree", "git status"),
    Entry::runs("commondir", "cp -a .git \"$OUT/common\"; git --git-dir=\"$OUT/common\" config core.fsmonitor \"$EVIL\"; echo \"$OUT/common\" > .git/commondir", "git status").by_worker().or_refused(),
    Entry::runs("core.alternateRefsCommand", "cp -a .git \"$OUT/alt\"; git init -q --bare \"$OUT/src\"; echo \"$OUT/alt/objects\" > .git/objects/info/alternates; git config core.alternateRefsCommand \"$EVIL\"; git config remote.origin.url \"$OUT/src\"",
        "git --git-dir=\"$OUT/src\" fetch -q \"$REPO\" main:main; git --git-dir=\"$OUT/src\" update-ref refs/heads/n $(git --git-dir=\"$OUT/src\" commit-tree -m n main^{tree}); git fetch -q origin n; git -c receive.denyCurrentBranch=ignore push -q \"$REPO\" HEAD:refs/heads/p").or_refused(),
    Entry::runs("remote uploadpack", "git config remote.origin.url \"$OUT\"; git config remote.origin.uploadpack \"$EVIL\"; git config remote.origin.receivepack \"$EVIL\"", "git fetch -q origin"),
    Entry::runs("ext transport", "git config protocol.ext.allow always; git config remote.origin.url \"ext::$EVIL\"", "git fetch -q origin"),
    Entry::runs("url.insteadOf", "git config protocol.ext.allow always; git config remote.origin.url https://x.invalid/; git config \"url.ext::$EVIL .insteadOf\" https://x.invalid/", "git fetch -q origin"),
    Entry::runs("trailer command", "git config trailer.Machine-Driver-Key.cmd \"$EVIL\"; git config trailer.Machine-Driver-Task.command \"$EVIL\"", "git commit -qam x --trailer Machine-Driver-Key=1 || git interpret-trailers --trailer Machine-Driver-Key=1 < /dev/null; printf 'x\\n\\nMachine-Driver-Task: 1\\n' | git interpret-trailers"),
    Entry::runs("tar.*.command", "git config tar.tar.command \"$EVIL\"; git config tar.tgz.command \"$EVIL\"", "git archive --format=tgz HEAD > /dev/null; git archive --format=tar HEAD > /dev/null"),
    Entry::runs("gc.recentObjectsHook", "git config gc.recentObjectsHook \"$EVIL\"; git config gc.auto 1; echo loose | git hash-object -w --stdin > /dev/null", "git gc -q --prune=now"),
    Entry::runs("difftool", "git config diff.tool e; git config difftool.e.cmd \"$EVIL\"; git config difftool.prompt false", "git difftool -y HEAD"),
    Entry::runs("interactive.diffFilter", "git config interactive.diffFilter \"$EVILCAT\"; git config color.ui always", "printf 'q\\n' | git add -p"),
    Entry::runs("promisor remote for an object that is gone", "git config extensions.partialClone p; git config core.repositoryFormatVersion 1; git config remote.p.promisor true; git config remote.p.url \"$OUT\"; \
        git config remote.p.uploadpack \"$EVIL\"; rm -f \"$(loose $(git rev-parse HEAD:keep.txt))\"", "git cat-file -p HEAD:keep.txt").or_refused(),
    Entry::runs("promisor remote for a tree that is gone", "git config extensions.partialClone p; git config core.repositoryFormatVersion 1; git config remote.p.promisor true; git config remote.p.url \"ext::$EVIL\"; git config protocol.ext.allow always; \
        rm -f \"$(loose $(git rev-parse HEAD:src))\"", "git read-tree HEAD; git diff-index HEAD").or_refused(),
    Entry::runs("promisor remote for a commit that is gone", "git config extensions.partialClone p; git config core.repositoryFormatVersion 1; git config remote.p.promisor true; git config remote.p.url \"$OUT\"; \
        git config remote.p.uploadpack \"$EVIL\"; rm -f \"$(loose $BASE)\"", "git log -1").or_refused(),
    Entry::runs("global core.fsmonitor", "git config --global core.fsmonitor \"$EVIL\"", "git status"),
    Entry::runs("global core.hooksPath", "mkdir -p \"$OUT/hooks\"; ln -s \"$EVIL\" \"$OUT/hooks/reference-transaction\"; git config --global core.hooksPath \"$OUT/hooks\"", "git update-ref refs/heads/x HEAD"),
    Entry::runs("global configuration below .config", "mkdir -p \"$HOME/.config/git\"; printf '[core]\\n\\tfsmonitor = %s\\n' \"$EVIL\" > \"$HOME/.config/git/config\"", "git status"),
];

pub(crate) const ATTRIBUTES: &[Entry] = &[
    Entry::runs("filter clean", "git config filter.e.clean \"$EVILCAT\"; echo '* filter=e' > .gitattributes", "git add -A").or_refused().naming("filter"),
    Entry::runs("filter smudge", "git config filter.e.smudge \"$EVILCAT\"; echo '* filter=e' > .gitattributes", "rm README.md; git checkout -q README.md").or_refused().naming("filter"),
    Entry::runs("filter process", "git config filter.e.process \"$EVIL\"; echo '* filter=e' > .gitattributes", "git add -A").or_refused().naming("filter"),
    Entry::runs("filter required", "git config filter.e.required true; git config filter.e.clean \"$EVILCAT\"; echo '*.txt filter=e' > src/.gitattributes", "git add -A").or_refused().naming("filter"),
    Entry::runs("filter by info/attributes", "git config filter.e.clean \"$EVILCAT\"; echo '* filter=e' > .git/info/attributes", "git add -A").or_refused(),
    Entry::runs("filter by core.attributesFile", "git config filter.e.clean \"$EVILCAT\"; echo '* filter=e' > \"$OUT/attributes\"; git config core.attributesFile \"$OUT/attributes\"", "git add -A").or_refused(),
    Entry::runs("filter by the user's attributes file", "git config --global filter.e.clean \"$EVILCAT\"; mkdir -p \"$HOME/.config/git\"; echo '* filter=e' > \"$HOME/.config/git/attributes\"", "git add -A").or_refused(),
    Entry::runs("filter by an attribute macro", "git config filter.e.clean \"$EVILCAT\"; printf '[attr]e filter=e\\n*.txt e\\n' > .gitattributes", "git add -A").or_refused().naming("filter"),
    Entry::runs("filter named lfs", "git config filter.lfs.clean \"$EVILCAT\"; git config filter.lfs.process \"$EVIL\"; echo '*.txt filter=lfs' > .gitattributes", "git add -A").or_refused().naming("filter"),
    Entry::runs("filter with a name like an option", "git config filter.--x.clean \"$EVILCAT\"; echo '* filter=--x' > .gitattributes", "git add -A").or_refused().naming("filter"),
    Entry::runs("filter of a file named in escape codes", "git config filter.e.clean \"$EVILCAT\"; echo '* filter=e' > .gitattributes; f=$(printf 'a\\033[31m\\nb'); echo x > \"$f\"", "git add -A").or_refused().naming("filter"),
    Entry::runs("filter on a new file only", "git config filter.e.clean \"$EVILCAT\"; echo 'new.txt filter=e' > .gitattributes", "git add new.txt").or_refused().naming("filter"),
    Entry::runs("filter by attributes that only the index has", "git config filter.e.clean \"$EVILCAT\"; echo '* filter=e' > .gitattributes; git update-index --add .gitattributes; rm .gitattributes", "git add new.txt").or_refused(),
    Entry::runs("nested repository with an evil configuration", "git init -q nested; git -C nested commit -q --allow-empty -m n; git add nested 2>/dev/null; git -C nested config core.fsmonitor \"$EVIL\"; git -C nested config filter.e.clean \"$EVILCAT\"; \
        echo x > nested/f", "git status; git add -A; git diff").or_refused(),
    Entry::runs("nested repository, not in the index", "git init -q nested; git -C nested commit -q --allow-empty -m n; git -C nested config core.fsmonitor \"$EVIL\"; echo x > nested/f", "git add -A 2>/dev/null; git status").or_refused(),
    Entry::runs("nested repository with a hostile pointer", "cp -a .git \"$OUT/evilgit\"; git --git-dir=\"$OUT/evilgit\" config core.fsmonitor \"$EVIL\"; mkdir nested; echo x > nested/f; echo \"gitdir: $OUT/evilgit\" > nested/.git",
        "git add -A 2>/dev/null; git status").or_refused(),
    Entry::runs("submodule update command", "git init -q \"$OUT/sub\"; git -C \"$OUT/sub\" commit -q --allow-empty -m n; git -c protocol.file.allow=always submodule --quiet add \"$OUT/sub\" sub; git config submodule.sub.update \"!$EVIL\"; \
        git -C sub commit -q --allow-empty -m m", "git submodule --quiet update").or_refused(),
    Entry::runs("submodule with an evil configuration", "git init -q \"$OUT/sub\"; git -C \"$OUT/sub\" commit -q --allow-empty -m n; git -c protocol.file.allow=always submodule --quiet add \"$OUT/sub\" sub; \
        git -C sub config core.fsmonitor \"$EVIL\"; git config diff.submodule log; git config status.submoduleSummary true; echo x > sub/f", "git status; git diff").or_refused(),
];
