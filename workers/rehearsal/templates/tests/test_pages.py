import unittest
from html import escape

from collection import FIELDS, MANY
from tests.running import AppTest
from tests.samples import first, sample


class Pages(AppTest):
    def test_an_empty_collection_says_so(self):
        self.assertIn(f"No {MANY} yet", self.get("/"))

    def test_items_are_shown_with_all_their_values(self):
        self.store.add(sample())
        page = self.get("/")
        for field in FIELDS:
            if field.kind in ("text", "note", "choice"):
                self.assertIn(escape(sample()[field.name]), page)
        self.assertNotIn(f"No {MANY} yet", page)

    def test_what_people_typed_is_never_taken_for_html(self):
        text = first("text", "note")
        self.store.add(sample(**{text.name: "<script>alert('x')</script>"}))
        page = self.get("/")
        self.assertNotIn("<script>alert", page)
        self.assertIn("&lt;script&gt;alert", page)

    def test_styles_and_scripts_are_served_and_nothing_else(self):
        self.assertIn("--hue", self.get("/static/style.css"))
        self.assertIn("use strict", self.get("/static/app.js"))
        self.assertIn("<svg", self.get("/static/icon.svg"))
        for path in ("/static/../server.py", "/static/none.css", "/static/"):
            self.assertEqual(self.ask("GET", path)[0], 404)

    def test_pages_allow_no_foreign_content(self):
        _, headers, _ = self.ask("GET", "/")
        self.assertIn("default-src 'self'", headers["Content-Security-Policy"])


if __name__ == "__main__":
    unittest.main()
