"""The things people keep lists of, as far as the cast knows them: words, and the fields they usually want."""

import re
from dataclasses import dataclass

from workers.rehearsal.blueprint import Field


@dataclass(frozen=True)
class Domain:
    """`words` is a pattern found in the client's text; the first field is the heading and required."""

    one: str
    many: str
    icon: str
    hue: int
    words: re.Pattern[str]
    fields: tuple[Field, ...]


def _field(text: str) -> Field:
    """`Pages #`, `Finished on @`, `Borrowed ?`, `Notes ...`, `Rating 1-5`, `Status: a/b/c`; else text."""
    if ":" in text:
        label, choices = text.split(":")
        return Field(label, "choice", choices=tuple(choice.strip() for choice in choices.split("/")))
    label, _, mark = text.rpartition(" ")
    if scale := re.fullmatch(r"(\d+)-(\d+)", mark):
        return Field(label, "number", minimum=float(scale[1]), maximum=float(scale[2]))
    kinds = {"#": "number", "@": "date", "?": "yes_no", "...": "note"}
    if mark == "#":
        return Field(label, "number", minimum=0)
    return Field(label, kinds[mark]) if mark in kinds else Field(text)  # type: ignore[arg-type]


def _domain(names: str, icon: str, hue: int, words: str, fields: str) -> Domain:
    one, many = names.split("/")
    first, *others = (_field(part.strip()) for part in fields.split(","))
    heading = Field(first.label, first.kind, required=True)
    return Domain(one, many, icon, hue, re.compile(rf"\b(?:{words})\b", re.IGNORECASE), (heading, *others))


DOMAINS = (
    _domain("tool/tools", "🧰", 28, r"tools?|lend(?:ing)?|lent|borrow(?:ed|ing|s)?|toolbox",
            "Name, Owner, Borrowed by, Lent on @, Back by @, Status: at home/lent out/in repair, Notes ..."),
    _domain("book/books", "📚", 250, r"books?|book club|reading (?:list|log|diary|journal)|novels?|library",
            "Title, Author, Pages #, Status: to read/reading/finished, Finished on @, Notes ..."),
    _domain("recipe/recipes", "🍲", 18, r"recipes?|cooking|cookbook|dishes",
            "Name, Course: starter/main/dessert/baking/drink, Minutes #, Servings #, Vegetarian ?, "
            "Ingredients ..., Steps ..."),
    _domain("meal/meals", "🍽️", 22, r"meals?|menus?|dinners?|lunch(?:es)?|breakfasts?",
            "Dish, Day @, Meal: breakfast/lunch/dinner, Cooked by, Persons #, Notes ..."),
    _domain("plant/plants", "🪴", 145, r"plants?|houseplants?|garden(?:ing)?|watering",
            "Name, Species, Place, Last watered @, Water every (days) #, Needs sun ?, Notes ..."),
    _domain("debt/debts", "💶", 165, r"ow(?:e|es|ed|ing)|debts?|ious?",
            "Who owes, To whom, Amount #, Since @, For what, Paid back ?, Notes ..."),
    _domain("expense/expenses", "🧾", 160, r"expenses?|spend(?:ing)?|budget|costs?|receipts?",
            "What, Amount #, Paid on @, Category: food/home/travel/fun/other, Paid by, Shared ?, Notes ..."),
    _domain("workout/workouts", "🏋️", 205, r"workouts?|training|exercises?|gym|runs|running log|fitness",
            "Exercise, Date @, Kind: strength/endurance/mobility, Minutes #, Sets #, Weight in kg #, Notes "
            "..."),
    _domain("bug/bugs", "🐞", 350, r"bugs?|issues?|defects?|bug tracker",
            "Title, Severity: low/medium/high, Status: open/in progress/fixed, Found by, Found on @, Steps "
            "to see it ..."),
    _domain("film/films", "🎬", 325, r"films?|movies?|watch ?list|cinema",
            "Title, Director, Year #, Status: to watch/watched, Rating 1-5, Notes ..."),
    _domain("series/series", "📺", 285, r"tv shows?|shows|series",
            "Title, Season #, Status: to watch/watching/finished, Rating 1-5, Notes ..."),
    _domain("game/games", "🎲", 265, r"board ?games?|games?",
            "Title, Players, Minutes #, Owned ?, Rating 1-5, Notes ..."),
    _domain("wine/wines", "🍷", 340, r"wines?|beers?|tasting",
            "Name, Winery, Year #, Kind: red/white/rosé/sparkling, Rating 1-5, Tasting notes ..."),
    _domain("coffee/coffees", "☕", 25, r"coffees?|espresso|beans",
            "Name, Roaster, Origin, Roast: light/medium/dark, Rating 1-5, Notes ..."),
    _domain("pet/pets", "🐾", 35, r"pets?|dogs?|cats?|animals?",
            "Name, Kind, Born on @, Vet, Next check-up @, Vaccinated ?, Notes ..."),
    _domain("trip/trips", "🧭", 190, r"trips?|travels?|journeys?|holidays?|vacations?",
            "Place, From @, To @, Status: dream/planned/done, With, Notes ..."),
    _domain("event/events", "📅", 10, r"events?|meetings?|meetups?|concerts?|part(?:y|ies)",
            "Name, Date @, Place, Guests #, Status: planned/confirmed/over, Notes ..."),
    _domain("guest/guests", "💌", 330, r"guests?|guest list|invitations?|wedding",
            "Name, Answer: open/coming/not coming, Persons #, Vegetarian ?, Notes ..."),
    _domain("found item/found items", "🧢", 75, r"lost (?:&|and|’n’|'n') found|lost property|found items?",
            "What, Found on @, Place, Colour, Owner, Collected ?, Notes ..."),
    _domain("task/tasks", "✅", 215, r"tasks?|to-?dos?|chores?|errands?|checklist",
            "What, Who, Due on @, Priority: low/normal/high, Done ?, Notes ..."),
    _domain("habit/habits", "🌱", 130, r"habits?|routines?",
            "Name, How often: daily/weekly/monthly, Since @, Going well ?, Notes ..."),
    _domain("contact/contacts", "👋", 230, r"contacts?|address ?book|people i know|phone ?(?:book|numbers?)",
            "Name, Company, Phone, E-mail address, Birthday @, Met at, Notes ..."),
    _domain("customer/customers", "🤝", 220, r"customers?|clients?|leads?|crm",
            "Name, Company, E-mail address, Status: new/talking/won/lost, Last contact @, Notes ..."),
    _domain("application/applications", "💼", 240, r"job applications?|job search|applications?",
            "Company, Position, Applied on @, Status: applied/interview/offer/rejected, Contact, Notes ..."),
    _domain("part/parts", "📦", 40, r"inventory|stock|warehouse|supplies|spare parts?|pantry",
            "Name, Quantity #, Place, Category, Reorder ?, Notes ..."),
    _domain("record/records", "💿", 290, r"records?|vinyls?|albums?|music collection",
            "Album, Artist, Year #, Format: LP/CD/cassette/digital, Rating 1-5, Notes ..."),
    _domain("bird/birds", "🐦", 195, r"birds?|bird ?watching|sightings?",
            "Species, Seen on @, Place, Count #, Photographed ?, Notes ..."),
    _domain("link/links", "🔖", 200, r"bookmarks?|links?|articles?",
            "Title, Address, Topic, Saved on @, Read ?, Notes ..."),
    _domain("present/presents", "🎁", 355, r"gifts?|presents?|wish ?list",
            "Name, For whom, Occasion, Price #, Status: idea/bought/given, Notes ..."),
    _domain("subscription/subscriptions", "🔁", 170, r"subscriptions?|memberships?",
            "Name, Price #, Every: month/quarter/year, Renews on @, Cancelled ?, Notes ..."),
    _domain("bike/bikes", "🚲", 175, r"bikes?|bicycles?",
            "Model, Brand, Size, Price #, Sold ?, Notes ..."),
    _domain("item/items", "🛒", 120, r"shopping|grocer(?:y|ies)|packing",
            "Name, Quantity #, Shop, Category, Got it ?, Notes ..."),
    _domain("car/cars", "🚗", 210, r"cars?|vehicles?",
            "Name, Make, Year #, Last service @, Mileage #, Notes ..."),
    _domain("student/students", "🎓", 225, r"students?|pupils?|class ?list",
            "Name, Class, E-mail address, Enrolled on @, Active ?, Notes ..."),
    _domain("note/notes", "📝", 48, r"notes?|journal|diary|ideas?",
            "Title, Date @, Topic, Important ?, Text ..."),
)  # fmt: skip


def matching(text: str) -> Domain | None:
    """The domain whose words occur most often in `text`; of equals the one that occurs first."""
    best: tuple[int, int, Domain] | None = None
    for domain in DOMAINS:
        hits = [match.start() for match in domain.words.finditer(text)]
        if hits and (best is None or (-len(hits), hits[0]) < best[:2]):
            best = (-len(hits), hits[0], domain)
    return best[2] if best else None
