"""The app, running on a port of its own with an empty database, and a client for it."""

import json
import tempfile
import threading
import unittest
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import web
from server import ROUTES
from store import Store


class Quiet(web.Server):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.RequestHandlerClass = type("Handler", (web.Handler,), {"log_message": lambda *_: None})


class AppTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.store = Store(Path(folder.name) / "test.db")
        server = Quiet(("127.0.0.1", 0), ROUTES, self.store)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        for clean_up in (server.server_close, thread.join, server.shutdown):
            self.addCleanup(clean_up)
        self.address = server.server_address

    def ask(self, method, path, body=None, headers=None):
        """The answer's status, headers and text."""
        connection = HTTPConnection(*self.address, timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def get(self, path):
        """The text of a page that is there."""
        status, _, text = self.ask("GET", path)
        self.assertEqual(status, 200, text)
        return text

    def api(self, method, path, value=None):
        """The answer's status and its JSON."""
        status, _, text = self.ask(method, path, None if value is None else json.dumps(value))
        return status, json.loads(text)

    def submit(self, path, values):
        """The status and text of a submitted form, and where it leads."""
        body = urlencode({name: "yes" if value is True else "" if value is None or value is False else value for name, value in values.items()})
        status, headers, text = self.ask("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded"})
        return status, headers.get("Location", ""), text
