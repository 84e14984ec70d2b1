import unittest
from urllib.parse import urlencode

from collection import TABLE
from filters import filtered_fields
from tests.running import AppTest
from tests.samples import sample, value

OTHER = {"number": 9, "date": "2001-01-01", "yes_no": False}


def other(field):
    if field.kind == "choice":
        return field.choices[-1]
    return field.maximum or OTHER[field.kind] if field.kind == "number" else OTHER.get(field.kind, "Another one")


class Filters(AppTest):
    def shown(self, **query):
        return [item["id"] for item in self.api("GET", f"/api/{TABLE}?{urlencode(query)}")[1]["items"]]

    def test_only_items_with_the_value_are_shown(self):
        for field in filtered_fields():
            with self.subTest(field=field.name):
                one = self.store.add(sample(**{field.name: value(field)}))["id"]
                two = self.store.add(sample(**{field.name: other(field)}))["id"]
                asked = "yes" if field.kind == "yes_no" else value(field)
                shown = self.shown(**{field.name: asked})
                self.assertIn(one, shown)
                self.assertNotIn(two, shown)

    def test_there_is_a_menu_for_each(self):
        page = self.get("/")
        for field in filtered_fields():
            self.assertIn(f'<select id="filter-{field.name}"', page)


if __name__ == "__main__":
    unittest.main()
