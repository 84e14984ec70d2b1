"""How the cast reads things and fields from the client's words, and reads them again from the
requirements."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.agents.facts import AnalysisFacts, Chat
from workers.rehearsal.analysis import requirements
from workers.rehearsal.blueprint import read_blueprint, read_fields, write_field
from workers.rehearsal.domains import DOMAINS
from workers.rehearsal.fields import read_list
from workers.rehearsal.reading import read_plan

IDEAS = [
    ("a reading list for a book club", "books: Title, Author, Pages, Status, Finished on, Notes"),
    ("tools lent to neighbours", "tools: Name, Owner, Borrowed by, Lent on, Back by, Status, Notes"),
    ("recipes from my grandmother",
     "recipes: Name, Course, Minutes, Servings, Vegetarian, Ingredients, Steps"),
    ("Track what we spend on holiday", "expenses: What, Amount, Paid on, Category, Paid by, Shared, Notes"),
    ("bug tracker for my team", "bugs: Title, Severity, Status, Found by, Found on, Steps to see it"),
    ("each plant has a name, a species, last watered date and needs sun (yes/no)",
     "plants: Name, Species, Last watered date, Needs sun"),
    ("A catalogue of old maps for our library with title, year, region and condition (good, fair, poor)",
     "maps: Title, Year, Region, Condition"),
    ("An inventory for a bike shop. Every bike has a model, price, size (S/M/L) and is sold (yes/no).",
     "bikes: Model, Price, Size, Is sold"),
    ("Build me an app for my vinyl collection: artist, album, year, rating 1-5, and whether it is signed",
     "records: Artist, Album, Year, Rating, Signed"),
    ("keep a list of orchids", "orchids: Name, Category, Date, Status, Notes"),
    ("track my sourdough starters", "sourdough starters: Name, Category, Date, Status, Notes"),
    ("We need a place where our choir can keep its sheet music",
     "sheet music: Name, Category, Date, Status, Notes"),
    ("For each wine I'd like to note the name, vintage year, price and my rating out of 10",
     "wines: Name, Vintage year, Price, Rating"),
    ("Every visitor has a date of arrival and a number of bags",
     "visitors: Name, Date of arrival, Number of bags"),
    ("hello", "entries: Name, Category, Date, Status, Notes"),
    ("Something to keep track of who owes whom money in our flat share",
     "debts: Who owes, To whom, Amount, Since, For what, Paid back, Notes"),
    ("a log of my runs with distance, time and how I felt",
     "workouts: Exercise, Distance, Time, How it felt"),
    ("I want to catalogue my grandfather's stamp collection, with country, year and estimated value",
     "stamps: Name, Country, Year, Estimated value"),
    ("a list of all the films we watched at our film club with the date and who chose them",
     "films: Title, Date, Chosen by"),
    ("a list of my bonsai trees and when they were pruned",
     "bonsai trees: Name, Category, Date, Status, Pruned on, Notes"),
    ("a list of house plants and when they were watered",
     "plants: Name, Species, Place, Last watered, Water every (days), Needs sun, Notes"),
    ("a register of the keys of our office and who has them",
     "keys: Name, Category, Date, Status, Who has it, Notes"),
    ("Which houses have we viewed, and what did we think of them",
     "houses: Name, Category, Date, Status, Notes"),
    ("Keep a record of the mileage of our company cars",
     "cars: Name, Make, Year, Last service, Mileage, Notes"),
    ("a hotel booking system", "hotel bookings: Name, Category, Date, Status, Notes"),
    ("a list of restaurants I want to try, with the cuisine and whether I've been there",
     "restaurants: Name, Cuisine, Been there"),
    ("track my medication: name, dose, when I took it", "medications: Name, Dose, Taken on"),
    ("Our wines with name, price, a rating, export as CSV, sort by price and filter by rating",
     "wines: Name, Price, Rating"),
    ("my daughter's vaccinations", "vaccinations: Name, Category, Date, Status, Notes"),
    ("a waiting list for our allotments, with name and phone number", "allotments: Name, Phone number"),
    ("help me not to forget the birthdays of my friends", "birthdays: Name, Category, Date, Status, Notes"),
    ("recipes: title, minutes, photos of the dish, and ingredients", "recipes: Title, Minutes, Ingredients"),
    ("Reading log", "books: Title, Author, Pages, Status, Finished on, Notes"),
]  # fmt: skip


@pytest.mark.parametrize(("idea", "expected"), IDEAS)
def test_an_idea_becomes_things_with_fields(idea: str, expected: str) -> None:
    plan = read_plan(idea)
    assert f"{plan.many}: {', '.join(field.label for field in plan.fields)}" == expected
    assert [field.required for field in plan.fields] == [True, *[False] * (len(plan.fields) - 1)]


TITLES = [
    ("a list of house plants and when they were watered", "List of house plants"),
    ("a list of my bonsai trees and when they were pruned", "List of my bonsai trees"),
    ("Something to keep track of who owes whom money in our flat share", "Our debts"),
    (
        "I want to catalogue my grandfather's stamp collection, with country",
        "My grandfather's stamp collection",
    ),
    ("app where the neighbours can see which ladders and saws they can borrow", "Our tools"),
    ("Plan the meals of the week", "Meals of the week"),
    ("track job applications and their status", "Job applications"),
    ("a list of all the films we watched", "List of films"),
    ("a tool library for our street", "Tool library for our street"),
    ("A place to keep our recipes", "Our recipes"),
    ("a reading list for a book club", "Reading list for a book club"),
]


@pytest.mark.parametrize(("idea", "title"), TITLES)
def test_a_title_names_something_and_ends_where_its_sentence_turns(idea: str, title: str) -> None:
    assert read_plan(idea).title == title


FIELDS = [
    ("a name", "Name", "text", (), None, None),
    ("rating from 1 to 5", "Rating", "number", (), 1, 5),
    ("my rating out of 10", "Rating", "number", (), 1, 10),
    ("rating", "Rating", "number", (), 1, 5),
    ("price", "Price", "number", (), None, None),
    ("phone number", "Phone number", "text", (), None, None),
    ("CAS number", "CAS number", "text", (), None, None),
    ("table number", "Table number", "number", (), None, None),
    ("when I last saw it", "Seen on", "date", (), None, None),
    ("who chose it", "Chosen by", "text", (), None, None),
    ("whether I've been there", "Been there", "yes_no", (), None, None),
    ("when it was watered", "Watered on", "date", (), None, None),
    ("birthday", "Birthday", "date", (), None, None),
    ("last watered", "Last watered", "date", (), None, None),
    ("whether it is signed", "Signed", "yes_no", (), None, None),
    ("needs sun (yes/no)", "Needs sun", "yes_no", (), None, None),
    ("a yes/no field for signed", "Signed", "yes_no", (), None, None),
    ("a field for the publisher", "Publisher", "text", (), None, None),
    ("condition (good, fair or poor)", "Condition", "choice", ("good", "fair", "poor"), None, None),
    ("status: open / closed", "Status", "choice", ("open", "closed"), None, None),
    ("who suggested it", "Suggested by", "text", (), None, None),
    ("how many pages it has", "Number of pages", "number", (), None, None),
    ("notes", "Notes", "note", (), None, None),
    ("weight (text)", "Weight", "text", (), None, None),
]


@pytest.mark.parametrize(("words", "label", "kind", "choices", "minimum", "maximum"), FIELDS)
def test_a_field_is_read_with_its_kind(
    words: str, label: str, kind: str, choices: tuple[str, ...], minimum: float | None, maximum: float | None
) -> None:
    (field,) = read_list(words)
    assert (field.label, field.kind, field.choices) == (label, kind, choices)
    assert (field.minimum, field.maximum) == (minimum, maximum)


@pytest.mark.parametrize(
    "words", ["Keep it simple, you decide", "whatever you think", "that sounds good", "!?"]
)
def test_prose_names_no_fields(words: str) -> None:
    assert read_list(words) == []


def test_the_answer_about_fields_adds_removes_or_replaces() -> None:
    idea = "a reading list for a book club"

    def labels(answer: str) -> list[str]:
        return [field.label for field in read_plan(idea, (answer,), about_fields=answer).fields]

    assert labels("Please add a rating from 1 to 5. The rest is fine as it is.")[-1] == "Rating"
    assert "Pages" not in labels("That is good, without pages")
    assert labels("title, year, publisher") == ["Title", "Year", "Publisher"]
    assert labels("You decide.") == labels("")


def test_names_of_columns_are_plain_and_never_the_apps_own() -> None:
    for label in ("Größe", "ID", "Created at", "2nd owner", "名前", "q"):
        name = read_list(f"the colour, {label}")[1].name
        assert name.isascii()
        assert name.isidentifier()
        assert name not in {"id", "created_at", "q"}


def test_every_known_domain_is_complete_and_found_by_its_own_words() -> None:
    for domain in DOMAINS:
        plan = read_plan(f"a list of {domain.many}")
        assert plan.many == domain.many
        assert plan.fields[0].required
        assert len({field.name for field in plan.fields}) == len(plan.fields)
        assert all(len(field.choices) > 1 for field in plan.fields if field.kind == "choice")


def test_fields_beyond_the_limit_are_named() -> None:
    labels = [f"Mark {letter * 2}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    facts = AnalysisFacts(
        summary=f"a list of vases. Each vase has a name, {', '.join(labels)}",
        conversation=[],
        continuation="",
        known=[],
    )
    written = requirements(facts)
    plan = read_blueprint(written.requirements)
    assert plan is not None
    assert [field.label for field in plan.fields] == ["Name", *labels[:23]]
    last = written.requirements[-1]
    assert last.title == "Asked for: the further fields Mark xx, Mark yy and Mark zz"
    assert "as many fields as it can hold" in last.description


WORDS = st.lists(
    st.one_of(
        st.sampled_from(
            ["each book has", "a title,", "(yes/no)", "status: open / done", "and", "1 to 5", ".", "with"]
        ),
        st.text(max_size=12),
    ),
    min_size=1,
    max_size=20,
).map(" ".join)


@settings(max_examples=150)
@given(WORDS)
def test_what_was_understood_can_be_read_again_out_of_the_requirements(idea: str) -> None:
    facts = AnalysisFacts(
        summary=idea or "-",
        conversation=[Chat(number=1, who="Client", text=idea)],
        continuation="",
        known=[],
    )
    written = requirements(facts)
    plan = read_blueprint(written.requirements)
    assert plan is not None
    told = read_plan(idea.strip())
    assert (plan.title, plan.one, plan.many, plan.fields) == (told.title, told.one, told.many, told.fields)
    assert read_fields("; ".join(write_field(field) for field in told.fields)) == told.fields
