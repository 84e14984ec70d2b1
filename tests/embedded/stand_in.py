"""A stand-in for a child of the supervisor: `python stand_in.py FOLDER MANNER`. It makes a file named by its
pid, then waits, with `die` or `refuse` exits, with `stubborn` ignores SIGTERM, or with `late` writes into the
file what it was told late."""

import os
import signal
import sys
import time
from pathlib import Path

from app.embedded import late, lifeline

folder, manner = Path(sys.argv[1]), sys.argv[2]
lifeline.GRACE_S = 0.2
lifeline.watch_parent()
if manner == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
(folder / str(os.getpid())).touch()
if manner == "late":
    late.await_environment()
    (folder / str(os.getpid())).write_text(os.environ["TOLD"])
if manner == "die":
    sys.exit(3)
if manner == "refuse":
    sys.exit(2)
time.sleep(60)
