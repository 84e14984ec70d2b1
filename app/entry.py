"""The entry point of the `boardroom` command. Ctrl-C while the modules are loaded ends it without a
traceback."""

import signal
from importlib import import_module


def main() -> None:
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    cli = import_module("app.cli")
    signal.signal(signal.SIGINT, before)
    cli.main()
