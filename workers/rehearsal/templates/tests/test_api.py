import unittest

from collection import FIELDS, TABLE
from tests.running import AppTest
from tests.samples import WRONG, first, sample

ALL = f"/api/{TABLE}"


class Api(AppTest):
    def test_an_item_lives_from_its_creation_to_its_removal(self):
        status, made = self.api("POST", ALL, sample())
        self.assertEqual(status, 201)
        self.assertEqual(self.api("GET", ALL), (200, {"items": [made], "total": 1}))
        each = f"{ALL}/{made['id']}"
        self.assertEqual(self.api("GET", each), (200, made))
        new = sample()[FIELDS[0].name]
        status, changed = self.api("PUT", each, {FIELDS[0].name: new})
        self.assertEqual((status, changed), (200, made))
        self.assertEqual(self.api("DELETE", each), (200, {"removed": made["id"]}))
        self.assertEqual(self.api("GET", each)[0], 404)
        self.assertEqual(self.api("GET", ALL), (200, {"items": [], "total": 0}))

    def test_what_is_wrong_is_refused_with_a_message_for_each_field(self):
        wrong = first(*WRONG)
        if wrong:
            status, refusal = self.api("POST", ALL, sample(**{wrong.name: WRONG[wrong.kind]}))
            self.assertEqual(status, 422)
            self.assertEqual(list(refusal["errors"]), [wrong.name])
        status, refusal = self.api("POST", ALL, {})
        self.assertEqual((status, set(refusal["errors"])), (422, {f.name for f in FIELDS if f.required}))
        self.assertEqual(self.store.find(), [])

    def test_strange_requests_get_a_clear_answer(self):
        self.assertEqual(self.ask("POST", ALL, "{")[0], 400)
        self.assertEqual(self.ask("POST", ALL, "[1]")[0], 400)
        self.assertEqual(self.ask("GET", f"{ALL}/999")[0], 404)
        self.assertEqual(self.ask("DELETE", f"{ALL}/999")[0], 404)
        self.assertEqual(self.ask("PUT", ALL, "{}")[0], 405)
        self.assertEqual(self.ask("GET", f"{ALL}/1/2")[0], 404)
        self.assertEqual(self.ask("POST", ALL, "x" * 300_000)[0], 413)

    def test_another_site_changes_nothing(self):
        status, _, _ = self.ask("POST", ALL, "{}", {"Sec-Fetch-Site": "cross-site"})
        self.assertEqual(status, 403)


if __name__ == "__main__":
    unittest.main()
