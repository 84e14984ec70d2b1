import csv
import io
import unittest

from collection import FIELDS, TABLE
from tests.running import AppTest
from tests.samples import first, sample

TEXT = first("text", "note").name


class Export(AppTest):
    def rows(self, query=""):
        return list(csv.reader(io.StringIO(self.get(f"/{TABLE}.csv{query}").removeprefix("\ufeff"))))

    def test_the_first_line_names_the_fields(self):
        self.assertEqual(self.rows(), [[field.label for field in FIELDS]])

    def test_each_item_is_a_line(self):
        self.store.add(sample(**{TEXT: "green apple"}))
        self.store.add(sample(**{TEXT: "green pear"}))
        column = [field.name for field in FIELDS].index(TEXT)
        self.assertEqual([row[column] for row in self.rows()[1:]], ["green pear", "green apple"])

    def test_the_page_offers_it(self):
        self.assertIn(f'href="/{TABLE}.csv', self.get("/"))


if __name__ == "__main__":
    unittest.main()
