"""The items on disk: one SQLite table with a column for each field.

Names of the table and its columns come from `collection`; everything a person typed is a parameter.
"""

import sqlite3
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from collection import FIELDS, TABLE

COLUMN_TYPES = {"number": "NUMERIC", "yes_no": "INTEGER NOT NULL DEFAULT 0"}


class Store:
    """Opens (and if need be makes or extends) the database at `path`. Items are dicts with an `id`."""

    def __init__(self, path):
        self.path = str(path)
        Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")  # all or nothing, also when two start at the same moment
            db.execute(f'CREATE TABLE IF NOT EXISTS "{TABLE}" (id INTEGER PRIMARY KEY, created_at TEXT NOT NULL)')
            self._add_missing_columns(db)

    def add(self, values):
        """Keep a new item, return it."""
        names = ["created_at", *(field.name for field in FIELDS)]
        columns = ", ".join(f'"{name}"' for name in names)
        marks = ", ".join("?" for _ in names)
        row = [datetime.now(timezone.utc).isoformat(), *(values.get(field.name) for field in FIELDS)]
        with self._open() as db:
            made = db.execute(f'INSERT INTO "{TABLE}" ({columns}) VALUES ({marks})', self._storable(row))
        return self.get(made.lastrowid)

    def get(self, item_id):
        """The item, or None."""
        found = self.find([("id = ?", [item_id])])
        return found[0] if found else None

    def find(self, conditions=()):
        """The items that meet all `conditions` (pairs of SQL and its parameters), newest first."""
        where = " AND ".join(f"({sql})" for sql, _ in conditions) or "1"
        parameters = [value for _, values in conditions for value in values]
        with self._open() as db:
            rows = db.execute(f'SELECT * FROM "{TABLE}" WHERE {where} ORDER BY id DESC', parameters).fetchall()
        return [self._item(row) for row in rows]

    def change(self, item_id, values):
        """Replace an item's values, return it, or None if there is none."""
        columns = ", ".join(f'"{field.name}" = ?' for field in FIELDS)
        row = [*(values.get(field.name) for field in FIELDS), item_id]
        with self._open() as db:
            db.execute(f'UPDATE "{TABLE}" SET {columns} WHERE id = ?', self._storable(row))
        return self.get(item_id)

    def remove(self, item_id):
        """Whether there was such an item."""
        with self._open() as db:
            return db.execute(f'DELETE FROM "{TABLE}" WHERE id = ?', [item_id]).rowcount == 1

    def counts(self, field):
        """How many items there are of each value of a field."""
        with self._open() as db:
            rows = db.execute(f'SELECT "{field.name}", COUNT(*) FROM "{TABLE}" GROUP BY 1').fetchall()
        return {value: count for value, count in rows if value is not None}

    @contextmanager
    def _open(self):
        db = sqlite3.connect(self.path, timeout=10)
        db.row_factory = sqlite3.Row
        try:
            with db:
                yield db
        finally:
            db.close()

    def _add_missing_columns(self, db):
        """A database from before a field was added keeps its items and gets the new column."""
        present = {row["name"] for row in db.execute(f'PRAGMA table_info("{TABLE}")')}
        for field in FIELDS:
            if field.name not in present:
                kind = COLUMN_TYPES.get(field.kind, "TEXT")
                db.execute(f'ALTER TABLE "{TABLE}" ADD COLUMN "{field.name}" {kind}')

    @staticmethod
    def _storable(row):
        return [int(value) if isinstance(value, bool) else value for value in row]

    @staticmethod
    def _item(row):
        item = dict(row)
        for field in FIELDS:
            if field.kind == "yes_no":
                item[field.name] = bool(item[field.name])
        return item
