import sqlite3
import tempfile
import unittest
from pathlib import Path

from collection import FIELDS, TABLE
from store import Store
from tests.samples import sample


class Keeping(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "data" / "test.db"
        self.store = Store(self.path)

    def test_items_are_there_again_after_a_restart(self):
        made = self.store.add(sample())
        again = Store(self.path).get(made["id"])
        self.assertEqual(again, made)
        self.assertEqual({field.name: again[field.name] for field in FIELDS}, sample())

    def test_the_newest_comes_first(self):
        ids = [self.store.add(sample())["id"] for _ in range(3)]
        self.assertEqual([item["id"] for item in self.store.find()], ids[::-1])

    def test_items_can_be_changed_and_removed(self):
        made = self.store.add(sample())
        changed = self.store.change(made["id"], sample(**{FIELDS[0].name: None}))
        self.assertIsNone(changed[FIELDS[0].name])
        self.assertTrue(self.store.remove(made["id"]))
        self.assertFalse(self.store.remove(made["id"]))
        self.assertIsNone(self.store.get(made["id"]))
        self.assertIsNone(self.store.change(made["id"], sample()))

    def test_a_database_from_before_a_field_was_added_keeps_its_items(self):
        self.path.unlink()
        with sqlite3.connect(self.path) as old:
            old.execute(f'CREATE TABLE "{TABLE}" (id INTEGER PRIMARY KEY, created_at TEXT NOT NULL)')
            old.execute(f"INSERT INTO \"{TABLE}\" (created_at) VALUES ('2026-01-01')")
        old.close()
        (item,) = Store(self.path).find()
        self.assertTrue(all(item[field.name] in (None, False) for field in FIELDS))


if __name__ == "__main__":
    unittest.main()
