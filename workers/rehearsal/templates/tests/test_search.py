import unittest
from urllib.parse import quote

from collection import MANY, TABLE
from tests.running import AppTest
from tests.samples import first, sample

TEXT = first("text", "note").name


class Search(AppTest):
    def found(self, words):
        return [item[TEXT] for item in self.api("GET", f"/api/{TABLE}?q={quote(words)}")[1]["items"]]

    def setUp(self):
        super().setUp()
        for name in ("green apple", "green pear", "50% off_er"):
            self.store.add(sample(**{TEXT: name}))

    def test_a_word_finds_the_items_that_hold_it(self):
        self.assertEqual(self.found("apple"), ["green apple"])
        self.assertEqual(self.found("green"), ["green pear", "green apple"])
        self.assertEqual(self.found("nowhere"), [])

    def test_every_word_must_occur(self):
        self.assertEqual(self.found("pear green"), ["green pear"])
        self.assertEqual(self.found("pear apple"), [])

    def test_signs_stand_for_themselves(self):
        self.assertEqual(self.found("50%"), ["50% off_er"])
        self.assertEqual(self.found("gre%"), [])
        self.assertEqual(self.found("off_"), ["50% off_er"])
        self.assertEqual(self.found("'; DROP TABLE"), [])

    def test_the_page_keeps_the_words_and_says_when_nothing_matches(self):
        self.assertIn('value="nowhere"', self.get("/?q=nowhere"))
        self.assertIn(f"No {MANY} match", self.get("/?q=nowhere"))
        self.assertIn("green apple", self.get("/?q=apple"))


if __name__ == "__main__":
    unittest.main()
