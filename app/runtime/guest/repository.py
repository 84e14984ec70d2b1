"""The git repository of /app, as the service uses it: it records trees and commits with an index of its own.

The job's code can edit `.git` like everything else in its box. So hooks, file-system monitors and the job's
settings are switched off, and what is recorded is what the files contain.
"""

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterable

from . import checkout
from .app_files import AppFiles, changed_paths
from .caches import NOT_RECORDED
from .git import Git, Runner
from .git_settings import DOMAIN, TIMELESS, UNSHOWN
from .kept import MIXED, put_back
from .paths import Refused
from .scripts import COMMIT, LIST, PACK, RECORD, SHOW
from .walk import remove

RESTORE_ROUNDS = 3
MOST_INDEX_BYTES = 1024 * 1024
"""A larger index is not kept in the guest's memory: that of about 35,000 objects."""
UNREADABLE = re.compile(rb"error: (open\(.*\): Permission denied|unable to index file )|warning:|hint:")
"""Git's lines about files that the job has made unreadable: they are left out, and the others recorded."""

EMBEDDED = (b"embedded git repository", b"does not have a commit checked out")


class Repository(Git):
    """The repository of `root`. Each method holds one lock, so that they run one after the other. A failure
    of git raises Refused."""

    def __init__(self, root: str, run: Runner) -> None:
        super().__init__(root, run)
        self._app_files = AppFiles()
        self._recorded = ""
        """The tree that was recorded or laid out last; empty for that of the head."""
        self.copies = checkout.Copies()
        self._learned = ("", b"")
        """The digest of the pack that was learned last, and git's index of it."""

    async def checkpoint(self, run: str, step: str) -> str:
        """Record the present files under `refs/boardroom/<run>/<step>`, and return the tree."""
        async with self._lock:
            return self._note(await self._record(f"refs/boardroom/{run}/{step}"))

    async def disown(self, before: str = "") -> None:
        """What differs from the tree `before`, by default from what was recorded last, was written by the app
        or its install step: leave it out from now on."""
        async with self._lock:
            head = await self._head() if self._exists() else None
            if head is None:
                return
            await self._ensure()
            before = before or self._recorded or head[1]
            now = await self._record()
            if now == before:
                return
            changed = await self._raw("diff-tree", "-r", "-z", "--name-only", "--no-renames", before, now)
            listed = await self._raw("ls-tree", "-r", "-z", "--name-only", "--full-tree", before)
            self._app_files.add(changed_paths(changed), changed_paths(listed))
            await self._git("read-tree", before)

    def _note(self, tree: str) -> str:
        self._recorded = tree
        self._app_files.recorded()
        return tree

    def own(self, path: str) -> None:
        """This file is written by the Builder or the client: record it."""
        self._app_files.give_up(path)

    def news_of_app(self) -> list[str]:
        """The files that were left out as the app's since the last call."""
        return self._app_files.news()

    async def tree(self) -> str:
        """The tree of the present files, as git would record it now."""
        async with self._lock:
            return await self._record()

    async def restore(self, tree: str) -> None:
        """Make the files what `tree` says. That is repeated a few times, because a restored `.gitignore` may
        ignore fewer files than before. Refused `no_tree` if the tree is unknown."""
        async with self._lock:
            await self._ensure()
            if not await self._has(f"{tree}^{{tree}}"):
                raise Refused("no_tree")
            self._note(tree)
            for _ in range(RESTORE_ROUNDS):
                if await self._record() == tree:
                    return
                await self._git("read-tree", "--reset", "-u", tree)

    async def commit(self, message: str, author: str) -> tuple[str, str]:
        """Commit the present files: (commit, tree). Without a change, the last commit."""
        async with self._lock:
            tree = self._note(await self._record())
            head = await self._head()
            if head is not None and head[1] == tree:
                return head
            sha = await self._commit("HEAD", tree, head, message, author)
            self._share_index()
            return sha, tree

    async def propose(self) -> tuple[str, str]:
        """A commit of the present files on no branch, to be looked at: (commit, tree)."""
        async with self._lock:
            tree = self._note(await self._record())
            head = await self._head()
            if head is not None and head[1] == tree:
                return head
            sha = await self._commit("refs/boardroom/proposed", tree, head, "Work in progress", "Builder")
            return sha, tree

    async def _commit(
        self, ref: str, tree: str, head: tuple[str, str] | None, message: str, author: str
    ) -> str:
        email = "".join(char for char in author.lower() if char.isalnum() and char.isascii()) or "author"
        who = {"GIT_AUTHOR_NAME": author, "GIT_AUTHOR_EMAIL": f"{email}@{DOMAIN}"}
        parent = ["-p", head[0]] if head else []
        return await self._git(tree, *parent, "-m", message, env=who, argv=("sh", "-c", COMMIT, ref))

    async def head(self) -> tuple[str, str] | None:
        """The last commit and its tree, or None."""
        async with self._lock:
            await self._ensure()
            return await self._head()

    async def show(self, commit: str, path: str) -> bytes | None:
        """The content of a file of a commit; None if it has no such file."""
        known, content = self.copies.find(commit, path)
        if known:
            return content
        async with self._lock:
            code, output, _ = await self._try("cat-file", "blob", f"{commit}:{path}")
            return output if code == 0 else None

    async def ask(self, *words: str) -> bytes | None:
        """What git says; None if it fails."""
        async with self._lock:
            await self._ensure()
            code, output, _ = await self._try(*words)
        return output if code == 0 else None

    async def check_out(self, commit: str, folder: str) -> None:
        """Write the files of a commit into the empty folder; see `checkout`."""
        if not self.copies.write(commit, folder):
            await self.read_out(commit, folder)
            self.copies.read(commit, folder)

    async def read_out(self, commit: str, place: str, *, contents: bool = True) -> None:
        """Write a commit, its list of files and their contents into files beside `place`; see `checkout`."""
        async with self._lock:
            code, _, complaints = await self._try(
                argv=("sh", "-c", SHOW if contents else LIST, commit, place)
            )
        if code != 0:
            raise Refused("git", f"{commit}: {complaints.decode(errors='replace')[-400:]}")

    async def move_head(self, commit: str) -> None:
        """Make `commit` the head, without touching files."""
        async with self._lock:
            await self._git("update-ref", "HEAD", commit)
            await self._git("read-tree", commit)
            self._recorded = ""
            self._share_index()

    def _share_index(self) -> None:
        """Give the job's own `git status` a copy of our index."""
        with contextlib.suppress(OSError):
            shutil.copyfile(self._index, f"{self._root}/.git/index")

    async def with_tests(self, commit: str, kept: str, tests: str, steering: str) -> tuple[str, str] | None:
        """A commit like `commit`, in which all files that match one of the two patterns are those of the
        commit `kept`; dependencies in project files stay those of `commit` (see the module `kept`). None if
        `commit` has changed or deleted no such file and has added none that matches `steering`. The same two
        commits always give the same result."""
        async with self._lock:
            raw = await self._raw("diff-tree", "-r", "-z", "--no-renames", kept, commit)
            fields = os.fsdecode(raw).split("\0")
            pairs = zip(fields[::2], fields[1::2], strict=False)
            ours = [(meta.split(), path) for meta, path in pairs if re.search(f"{tests}|{steering}", path)]
            added = [path for meta, path in ours if meta[4] == "A"]
            back = [(meta, path, await self._blob_then(meta, path)) for meta, path in ours if meta[4] != "A"]
            entries = [f"{meta[0][1:]},{blob},{path}" for meta, path, blob in back if blob != meta[3]]
            if not entries and not any(re.search(steering, path) for path in added):
                return None
            index = {"GIT_INDEX_FILE": f"{self._index}.tests"}
            await self._git("read-tree", commit, env=index)
            await self._git("update-index", "--force-remove", "--", *added, env=index)
            words = [word for entry in entries for word in ("--cacheinfo", entry)]
            await self._git("update-index", "--add", *words, env=index)
            tree = await self._git("write-tree", env=index)
            said = f"{commit[:10]} with the tests of {kept[:10]}"
            made = await self._git("commit-tree", tree, "-p", commit, "-m", said, env=TIMELESS)
            await self._git("update-ref", f"refs/boardroom/tests/{made}", made)
            return made, tree

    async def _blob_then(self, meta: list[str], path: str) -> str:
        """The blob to put back for a changed file; `meta` are the fields of its line in a raw diff."""
        _, _, then, now, how = meta
        if how != "M" or not path.endswith(MIXED):
            return then
        blobs = [await self._raw("cat-file", "blob", sha) for sha in (then, now)]
        merged = put_back(path, *blobs)
        if merged in blobs:
            return (then, now)[blobs.index(merged)]
        return await self._git("hash-object", "-w", "--no-filters", self._beside(merged))

    def _beside(self, content: bytes) -> str:
        """Write `content` to a file beside the index, and return its path."""
        path = f"{self._index}.kept"
        with open(path, "wb") as file:
            file.write(content)
        return path

    async def diff(self, old: str, new: str) -> bytes:
        """The diff of two trees or commits, without `UNSHOWN` files."""
        left_out = [f":(exclude,glob)**/{name}" for name in UNSHOWN]
        plain = ("--no-ext-diff", "--no-textconv", "--no-color", "--no-renames")
        async with self._lock:
            return await self._raw("diff", *plain, old, new, "--", ".", *left_out)

    async def refs(self) -> str:
        """A line `<sha> <ref>` for each ref, HEAD first; empty without a commit."""
        async with self._lock:
            await self._ensure()
            head = await self._head()
            if head is None:
                return ""
            others = await self._git("for-each-ref", "--format=%(objectname) %(refname)")
            return f"{head[0]} HEAD\n{others}"

    async def pack(self, *revisions: str) -> str:
        """Write a pack of everything that the revisions reach, all refs by default, and return the path of
        its file, which the caller removes. `^<sha>` leaves out what that commit reaches; if it is unknown
        here, that is nothing."""
        base = f"{self._root}/.git/bundle"
        async with self._lock:
            known = [each for each in revisions if each[0] != "^" or await self._has(each[1:])]
            if known:
                name = await self._git(base, *known, argv=("sh", "-c", PACK))
            else:
                name = await self._git("pack-objects", "--revs", "--all", "--quiet", base)
        for kind in ("idx", "rev"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{base}-{name}.{kind}")
        return f"{base}-{name}.pack"

    async def fill(self, pack: str, refs: Iterable[tuple[str, str]]) -> None:
        """Add a pack and its refs, and check out HEAD. Does nothing if there is a commit."""
        async with self._lock:
            await self._ensure()
            if await self._head() is not None:
                return
            await self._add(pack)
            for sha, ref in refs:
                await self._git("update-ref", ref, sha)
            await self._git("read-tree", "--reset", "-u", "HEAD")
            self._share_index()

    async def learn(self, pack: str) -> None:
        """Add the objects of a pack. Each is named by its hash, so none can take the place of another. A
        trial learns the same commit for each of its checks: git reads it once."""
        with open(pack, "rb") as file:  # noqa: ASYNC230 - the guest has one thread
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        async with self._lock:
            await self._ensure()
            known, index = self._learned
            self._learned = digest, await self._add(pack, index if digest == known else b"")

    async def _add(self, pack: str, index: bytes = b"") -> bytes:
        """Add a pack; returns its index, which may be given instead of having git make it. Nobody of the
        job's is there when a trial learns, so an index that it keeps is git's."""
        with open(pack, "rb") as file:  # noqa: ASYNC230 - the guest has one thread
            file.seek(-20, os.SEEK_END)
            name = f"{self._root}/.git/objects/pack/pack-{file.read().hex()}"
        if index:
            with contextlib.suppress(FileNotFoundError):  # it is there if nothing was wiped since
                os.unlink(f"{name}.idx")
            with open(f"{name}.idx", "xb") as file:  # noqa: ASYNC230
                file.write(index)
        else:
            await self._git("index-pack", "--strict", "-o", f"{name}.idx", pack)
            with open(f"{name}.idx", "rb") as file:  # noqa: ASYNC230
                index = file.read(MOST_INDEX_BYTES + 1)
        shutil.copyfile(pack, f"{name}.pack")
        return index if len(index) <= MOST_INDEX_BYTES else b""

    async def _record(self, ref: str = "") -> str:
        """Record all files that git does not ignore, under `ref` if there is one, and return the tree."""
        await self._ensure()
        left_out = (*NOT_RECORDED, *self._app_files.pathspecs)
        code, said, complaints = await self._try(*left_out, argv=("sh", "-c", RECORD, ref))
        if code == 0 and not any(words in complaints for words in EMBEDDED):
            return said.decode().strip()
        tree = await self._record_some(left_out)
        if ref:
            await self._git("update-ref", ref, tree)
        return tree

    async def _record_some(self, left_out: Iterable[str]) -> str:
        """Record what can be recorded, if something is in the way."""
        code, _, complaints = await self._try("add", "--all", "--ignore-errors", ".", *left_out)
        if any(words in complaints for words in EMBEDDED):
            await self._absorb_inner_repositories()
            await self._git("rm", "--cached", "--force", "-r", "-q", "--ignore-unmatch", ".")
            code, _, complaints = await self._try("add", "--all", "--ignore-errors", ".", *left_out)
        if code != 0 and any(not UNREADABLE.match(line) for line in complaints.splitlines()):
            raise Refused("git", complaints.decode(errors="replace")[-400:])
        return await self._git("write-tree")

    async def _absorb_inner_repositories(self) -> None:
        """Remove repositories inside the workspace, because git would record only a reference to their commit
        instead of their files."""
        waiting = [self._root]
        while waiting:
            folder = waiting.pop()
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    is_folder = entry.is_dir(follow_symlinks=False)
                    if entry.name != ".git":
                        waiting += [entry.path] if is_folder else []
                    elif folder != self._root:
                        await remove(entry.path) if is_folder else os.unlink(entry.path)

    async def _head(self) -> tuple[str, str] | None:
        code, output, _ = await self._try("rev-parse", "--quiet", "HEAD", "HEAD^{tree}")
        shas = output.decode(errors="replace").split()
        return (shas[0], shas[1]) if code == 0 and len(shas) == 2 else None
