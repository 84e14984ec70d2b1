"""Start a stack, print its addresses, and wait to be killed: `python hold.py DATA_DIR`."""

import sys
import time
from pathlib import Path

from app.embedded.stack import start

stack = start(Path(sys.argv[1]), durable=False)
sys.stdout.write(f"{stack.database_url} {stack.redis_url}\n")
sys.stdout.flush()
time.sleep(60)
