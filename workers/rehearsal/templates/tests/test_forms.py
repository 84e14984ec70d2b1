import unittest
from html import escape

from collection import FIELDS, TABLE
from tests.running import AppTest
from tests.samples import WRONG, first, sample

NEW = f"/{TABLE}/new"


class Forms(AppTest):
    def test_every_field_has_a_label(self):
        page = self.get(NEW)
        for field in FIELDS:
            self.assertIn(f'<label for="{field.name}">{escape(field.label)}', page)
            self.assertIn(f'name="{field.name}"', page)

    def test_adding_leads_back_to_the_list(self):
        status, leads_to, _ = self.submit(NEW, sample())
        self.assertEqual((status, leads_to), (303, "/?notice=added"))
        (item,) = self.store.find()
        self.assertEqual({field.name: item[field.name] for field in FIELDS}, sample())
        self.assertIn("Added.", self.get(leads_to))

    def test_a_refused_form_comes_back_with_what_was_typed(self):
        wrong = first(*set(WRONG) - {"choice", "yes_no"})
        typed = sample(**{wrong.name: WRONG[wrong.kind]}) if wrong else {}
        status, _, page = self.submit(NEW, typed)
        if wrong:
            self.assertEqual(status, 422)
            self.assertIn(f'id="{wrong.name}-error"', page)
            self.assertIn(f'value="{WRONG[wrong.kind]}"', page)
            self.assertEqual(self.store.find(), [])

    def test_an_item_can_be_changed(self):
        item = self.store.add(sample())
        edit = f"/{TABLE}/{item['id']}/edit"
        self.assertIn(f'href="{edit}"', self.get("/"))
        self.assertIn("Edit", self.get(edit))
        text = first("text", "note")
        status, leads_to, _ = self.submit(edit, sample(**{text.name: "Something else"}))
        self.assertEqual((status, leads_to), (303, "/?notice=changed"))
        self.assertEqual(self.store.get(item["id"])[text.name], "Something else")

    def test_an_item_is_removed_only_after_asking(self):
        item = self.store.add(sample())
        remove = f"/{TABLE}/{item['id']}/remove"
        self.assertIn("will be gone for good", self.get(remove))
        self.assertIsNotNone(self.store.get(item["id"]))
        self.assertEqual(self.submit(remove, {})[:2], (303, "/?notice=removed"))
        self.assertIsNone(self.store.get(item["id"]))

    def test_what_is_gone_is_said_to_be_gone(self):
        for path in (f"/{TABLE}/999/edit", f"/{TABLE}/999/remove"):
            self.assertEqual(self.ask("GET", path)[0], 404)


if __name__ == "__main__":
    unittest.main()
