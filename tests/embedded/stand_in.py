"""A stand-in for a child of the supervisor: `python stand_in.py FOLDER MANNER`. It makes a file named by its
pid, then waits, with `die` or `refuse` exits, or with `stubborn` ignores SIGTERM."""

import os
import signal
import sys
import time
from pathlib import Path

from app.embedded import lifeline

folder, manner = Path(sys.argv[1]), sys.argv[2]
lifeline.GRACE_S = 0.2
lifeline.watch_parent()
if manner == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
(folder / str(os.getpid())).touch()
if manner == "die":
    sys.exit(3)
if manner == "refuse":
    sys.exit(2)
time.sleep(60)
