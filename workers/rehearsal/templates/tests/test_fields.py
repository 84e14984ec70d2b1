import unittest

from fields import Field, Refused, clean

PAGES = Field("pages", "Pages", "number", minimum=1, maximum=10)


class Accepted(unittest.TestCase):
    def test_each_kind_keeps_what_is_meant(self):
        for field, typed, kept in [
            (Field("name", "Name"), "  Dune ", "Dune"),
            (Field("name", "Name"), "   ", None),
            (PAGES, "7", 7),
            (PAGES, 2.5, 2.5),
            (PAGES, "1", 1),
            (PAGES, "10", 10),
            (Field("day", "Day", "date"), "2026-02-28", "2026-02-28"),
            (Field("state", "State", "choice", choices=("new", "old")), "old", "old"),
            (Field("read", "Read", "yes_no"), "yes", True),
            (Field("read", "Read", "yes_no"), None, False),
        ]:
            with self.subTest(kind=field.kind, typed=typed):
                self.assertEqual(field.clean(typed), kept)


class Turned(unittest.TestCase):
    def test_each_kind_says_what_is_wrong(self):
        for field, typed, message in [
            (Field("name", "Name", required=True), " ", "Name is required."),
            (Field("name", "Name"), "x" * 201, "Name may have at most 200 characters."),
            (Field("name", "Name"), "\0", "Name contains a character that cannot be kept."),
            (Field("name", "Name"), ["Dune"], "Name must be text."),
            (PAGES, "many", "Pages must be a number."),
            (PAGES, "nan", "Pages must be a number."),
            (PAGES, True, "Pages must be a number."),
            (PAGES, "0", "Pages must be at least 1."),
            (PAGES, "11", "Pages must be at most 10."),
            (Field("day", "Day", "date"), "2026-02-30", "Day must be a date such as 2026-03-21."),
            (Field("state", "State", "choice", choices=("new", "old")), "lost", "State must be one of: new, old."),
            (Field("read", "Read", "yes_no"), "perhaps", "Read must be yes or no."),
        ]:
            with self.subTest(kind=field.kind, typed=typed), self.assertRaises(Refused) as refused:
                field.clean(typed)
            self.assertEqual(str(refused.exception), message)

    def test_all_messages_come_together(self):
        values, errors = clean([Field("name", "Name", required=True), PAGES], {"pages": "many"})
        self.assertEqual(values, {})
        self.assertEqual(errors, {"name": "Name is required.", "pages": "Pages must be a number."})


if __name__ == "__main__":
    unittest.main()
