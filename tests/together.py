"""Which tests stay in one process: those that share what is dear to make, such as a running service.

(The marker `xdist_group`, made for this, is lost between pytest 9.2 and pytest-xdist 3.8.)
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
"""Beginnings of tests' names. All other tests go wherever there is room, one by one."""


class Together(LoadScopeScheduling):
    """Hands out what shares something as one piece; the largest pieces first."""

    def _split_scope(self, nodeid: str) -> str:
        return next((start for start in SHARING if nodeid.startswith(start)), nodeid)
