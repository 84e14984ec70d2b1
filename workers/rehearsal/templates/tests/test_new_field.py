import sqlite3
import tempfile
import unittest
from pathlib import Path

from collection import FIELDS, TABLE
from store import Store
from tests.running import AppTest
from tests.samples import sample, value

NEW = next(field for field in FIELDS if field.name == "NEW_FIELD")


class AddedField(AppTest):
    def test_it_is_kept_and_shown(self):
        status, item = self.api("POST", f"/api/{TABLE}", sample())
        self.assertEqual((status, item[NEW.name]), (201, value(NEW)))
        self.assertIn(f'name="{NEW.name}"', self.get(f"/{TABLE}/{item['id']}/edit"))

    def test_an_old_database_gets_the_column(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "old.db"
            with sqlite3.connect(path) as old:
                old.execute(f'CREATE TABLE "{TABLE}" (id INTEGER PRIMARY KEY, created_at TEXT NOT NULL)')
                old.execute(f"INSERT INTO \"{TABLE}\" (created_at) VALUES ('2026-01-01')")
            old.close()
            (item,) = Store(path).find()
            self.assertIn(item[NEW.name], (None, False))


if __name__ == "__main__":
    unittest.main()
