"""Decides which tests run in the same process: those that share an expensive fixture, such as a running
service.

(The marker `xdist_group`, which is meant for this, does not work with pytest 9.2 and pytest-xdist 3.8.)
"""

from xdist.scheduler import LoadScopeScheduling

SHARING = (
    "tests/api/",
    "tests/cli/test_demo.py",
    "tests/cli/test_up.py",
    "tests/e2e/",
    "tests/preview/",
    "tests/rehearsal/test_building.py",
    "tests/sockets/",
)
"""Prefixes of the names of such tests. All other tests are distributed one by one."""


class Together(LoadScopeScheduling):
    """A scheduler that gives all tests with the same prefix to one process, the largest groups first."""

    def _split_scope(self, nodeid: str) -> str:
        return next((start for start in SHARING if nodeid.startswith(start)), nodeid)
