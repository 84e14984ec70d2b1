"""What git is told in a box: its settings, who commits, and which files are not recorded."""

EXCLUDED = """\
node_modules/
__pycache__/
*.py[co]
.venv/
venv/
.cache/
.next/
.vite/
.pytest_cache/
.mypy_cache/
.ruff_cache/
*.db
*.db-*
*.sqlite
*.sqlite-*
*.sqlite3
*.sqlite3-*
*.saving
.DS_Store
"""
"""Files that are never recorded: installed, cached, or the app's data. A restore removes only caches of
these (see `caches`)."""

UNSHOWN = ("package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "*.lock", "*.min.js")
"""Generated files, left out of diffs, where they would hide what people and agents wrote."""

SETTINGS = {
    "safe.directory": "*",
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.autocrlf": "false",
    "core.quotePath": "false",
    "core.symlinks": "true",
    "advice.addEmbeddedRepo": "true",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "commit.gpgSign": "false",
    "init.defaultBranch": "main",
}
CONFIG = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n"
HEAD = f"ref: refs/heads/{SETTINGS['init.defaultBranch']}\n"
COMMITTER = "Boardroom"
DOMAIN = "boardroom.invalid"
TIMELESS = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", COMMITTER), ("EMAIL", f"service@{DOMAIN}"), ("DATE", "@0 +0000"))
}
