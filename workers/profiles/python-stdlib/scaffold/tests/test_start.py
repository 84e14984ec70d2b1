"""The app starts as its manifest says, and answers."""

import json
import os
import signal
import socket
import subprocess
import time
import unittest
import urllib.error
import urllib.request

PATIENCE_S = 20


class Start(unittest.TestCase):
    def test_it_answers_on_its_health_path(self) -> None:
        with open("boardroom.json", encoding="utf-8") as file:
            manifest = json.load(file)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        env = {**os.environ, "PORT": str(port)}
        app = subprocess.Popen(manifest["start"], shell=True, env=env, start_new_session=True)
        try:
            self.assertLess(self.status(f"http://127.0.0.1:{port}{manifest['health']}"), 500)
        finally:
            os.killpg(app.pid, signal.SIGKILL)
            app.wait()

    def status(self, address: str) -> int:
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(address, timeout=5) as answer:
                    return answer.status
            except urllib.error.HTTPError as error:
                with error:
                    return error.code
            except OSError:
                time.sleep(0.05)
        self.fail("nothing answers")
