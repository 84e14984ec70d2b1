"""Fields in the client's words: `a rating from 1 to 5`, `needs sun (yes/no)`, `status: open / done`."""

import re

from workers.rehearsal.blueprint import Field, Kind
from workers.rehearsal.words import capital, items

_DATE_WORDS = "date day birthday deadline due when since until anniversary expires expiry"
_NUMBER_WORDS = (
    "number numbers count amount price cost pages year age weight height width length quantity minutes "
    "hours days weeks months km kg distance duration score rating stars servings calories reps sets budget "
    "systolic diastolic pulse bpm counts "
    "total percent percentage temperature mileage points size volume population value salary floor"
)
_NOTE_WORDS = (
    "note notes description comment comments remark remarks review ingredients steps instructions details "
    "text summary thoughts directions story reason why"
)
_YES_NO_WORDS = (
    "done paid read owned finished completed vegetarian vegan favourite favorite available returned active "
    "archived important urgent shared vaccinated watched bought packed signed"
)

MOST_READ = 200
"""Fields that are read in one list: the rest of a text that goes on for ever is no list."""


def _one_of(words: str) -> str:
    return f"(?:{'|'.join(words.split())})"


_KIND_BY_WORDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (
        "date",
        re.compile(
            rf"\b{_one_of(_DATE_WORDS)}\b|\w+(?:ed|en|t|n|ne|nk|un) on$|\b(?:back|due) by$|^(?:last|next"
            r"|first) \w+(?:ed|en|t|up|seen|visit|service|contact)\b",
            re.IGNORECASE,
        ),
    ),
    (
        "yes_no",
        re.compile(
            r"^(?:is|are|has|have|had|needs?|was|were|can|does|do|whether|if)\b"
            rf"|^{_one_of(_YES_NO_WORDS)}\??$",
            re.IGNORECASE,
        ),
    ),
    (
        "number",
        re.compile(rf"\b(?:{_one_of(_NUMBER_WORDS)}|how (?:many|much|long|old|often))\b", re.IGNORECASE),
    ),
    ("note", re.compile(rf"\b{_one_of(_NOTE_WORDS)}\b", re.IGNORECASE)),
)
"""Tried in this order; what fits none is a text."""
_NOT_A_NUMBER = re.compile(r"\b(?!(?:table|page|season|episode|week|floor|track)\b)\w+ (?:number|no)\b", re.I)

_SAID_KIND: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (
        "yes_no",
        re.compile(r"^(?:yes ?[/-]? ?(?:or )?no|y/n|true/false|check ?box|bool(?:ean)?|tick ?box)$", re.I),
    ),
    ("number", re.compile(r"^(?:a )?(?:whole |decimal )?(?:number|integer|numeric)s?$", re.I)),
    ("date", re.compile(r"^(?:a )?(?:date|day)$", re.I)),
    ("note", re.compile(r"^(?:a )?(?:long|longer|multi-?line|free) text$", re.I)),
    ("text", re.compile(r"^(?:a )?(?:short )?(?:text|string|words?)$", re.I)),
)
_ARTICLES = re.compile(
    r"^(?:(?:and|or|also|maybe|perhaps|plus|optionally|an? optional|a|an|the|its|their|his|her|our|my|your"
    r"|some|any|new|another|of course|please|as well|too|field|column|for|called|named|extra"
    r"|additional)\s+)+",
    re.IGNORECASE,
)
_SCALE = re.compile(
    r"\s*[,(]?\s*(?:from |between |of |rated |on a scale (?:of|from) )?(\d{1,6})\s*(?:to|-|–|and|…"
    r"|\.\.)\s*(\d{1,6})\b(?:\s*(?:stars?|points?))?\)?",
    re.IGNORECASE,
)
_OUT_OF = re.compile(r"\s*[,(]?\s*(?:out )?of (\d{1,4})\b(?:\s*stars?)?\)?", re.IGNORECASE)
_CHOICES = re.compile(
    r"\s*(?:\((?P<inside>[^()]+)\)|:\s*(?P<after>[^:]+)|\s(?:that is|which is|being|is) (?:either "
    r"|one of )?(?P<said>.+))$"
)
_SPLIT_CHOICES = re.compile(r"\s*/\s*|\s*\|\s*|\s*,\s*(?:or |and )?|\s+or\s+|\s+and\s+")
_PROSE = re.compile(
    r"\b(?:i|we|you|they|it|us|me|them|this|that|decide|whatever|nothing|think|sounds?|fine|good|great"
    r"|perfect|ok(?:ay)?|simple|everything|anything|should|would|could|must|want|like|just|keep|yes|no|sure"
    r"|thanks?|because|so)\b",
    re.IGNORECASE,
)
_PAST = {
    "took": "taken", "saw": "seen", "gave": "given", "ate": "eaten", "drank": "drunk", "wrote": "written",
    "did": "done", "chose": "chosen", "ran": "run", "began": "begun", "went": "visited", "drew": "drawn",
}  # fmt: skip
_PARTICIPLE = rf"(?:\w+(?:ed|t|n)|{'|'.join(_PAST)})"
"""What was done to it: `watered`, and in the client's words also `took`."""

_DEED = re.compile(
    r"^(?:(?:also|and|then|an?|the) )*(?:export|filter|sort|search|download|import|print|send|notify|remind"
    r"|e-?mail|share)\w* (?:.* )?(?:as|by|to|from|for|it|them|me|us|into|via|csv|pdf|excel)\b"
    r"|\b(?:csv|pdf|excel) (?:export|download|import)s?$"
    r"|\b(?:reminders?|notifications?|alerts?|newsletters?|charts?|graphs?|statistics|dashboards?|log-?ins?"
    r"|photos?|pictures?|images?|uploads?|attachments?|(?:calendar|map) view)$"
    r"|^(?:(?:an?|the|some) )*(?:photos?|pictures?|images?) (?:of|from|for) ",
    re.IGNORECASE,
)
"""What the app should do or show, in a list of what it should hold: a field would only look like it."""

_QUESTION_WORDS = (
    (re.compile(r"^how many (.+?)(?: (?:it|they|there|we|i)\b.*)?$", re.I), r"Number of \1"),
    (re.compile(r"^(?:whether|if) (?!the\b)\w+ (?:is|are|was|were|ha[sd]|have)?\s*(.+)$", re.I), r"\1"),
    (re.compile(r"^(?:whether|if) (?:the \w+ )?(?:is|was|has been)?\s*(.+)$", re.I), r"\1"),
    (
        re.compile(
            rf"^when (?:the )?\w+ (?:was |were |is |are )?(?:last )?({_PARTICIPLE})(?: it| them)?$", re.I
        ),
        r"\1 on",
    ),
    (re.compile(rf"^when ({_PARTICIPLE})$", re.I), r"\1 on"),
    (re.compile(rf"^who (?:has |have |had )?({_PARTICIPLE})(?: it| them| the \w+)?$", re.I), r"\1 by"),
    (re.compile(r"^who (?:has|have|had|owns?|keeps?) (?:it|them|the \w+)$", re.I), "Who has it"),
    (re.compile(r"^how (?:i|we|you|it|they|he|she) (felt|went)(?: .*)?$", re.I), r"How it \1"),
    (re.compile(r"^where (?:it|they|we|i|you) .*$", re.I), "Place"),
    (re.compile(r"^where$", re.I), "Place"),
)  # fmt: skip
_HELPS = {"ve": "have", "s": "is", "re": "are"}
RATING = re.compile(r"\b(?:rating|stars)\b", re.IGNORECASE)


def read_field(words: str, known: tuple[Field, ...] = ()) -> Field | None:
    """One field, or None where the words name none. A label that is `known` brings its kind and choices."""
    words = _ARTICLES.sub("", words.strip(" .!?\"'“”")).strip()
    said_first = re.match(
        r"(yes/?-?no|number|date|text) (?:field|column) (?:for|called|named) (.+)", words, re.I
    )
    if said_first:
        words = f"{said_first[2]} ({said_first[1]})"
    words = re.sub(r"^(?:field|column)s? (?:for|called|named|with)?\s*", "", words, flags=re.I)
    words = _ARTICLES.sub("", words)
    words = re.sub(r"\s+(?:field|column|too|as well|please|each|etc)$", "", words, flags=re.I)
    required = bool(re.search(r"\((?:required|mandatory)\)", words, re.I))
    words = re.sub(r"\s*\((?:required|mandatory|optional)\)", "", words, flags=re.I)
    lowest, highest, words = _bounds(words)
    said, choices, words = _said(words)
    questioned = bool(re.match(r"whether|if\b", words, re.I))
    words = re.sub(
        r"^((?:whether|if) \w+)['’](ve|s|re)\b", lambda said: f"{said[1]} {_HELPS[said[2]]}", words
    )
    for pattern, replacement in _QUESTION_WORDS:
        if pattern.match(words):
            words = pattern.sub(replacement, words)
            words = re.sub(r"^\w+(?= (?:on|by)$)", lambda said: _PAST.get(said[0].lower(), said[0]), words)
            break
    label = capital(
        " ".join(re.sub(r"[^\w '’/&+.#%€$-]", " ", _ARTICLES.sub("", words)).split()).strip(" .'")
    )
    if not label or len(label) > 40 or len(label.split()) > 5 or not re.search(r"[^\W\d_]", label):
        return None
    same = next((item for item in known if item.label.lower() == label.lower()), None)
    if same and not said and not choices and lowest is None and highest is None:
        return Field(same.label, same.kind, required, same.choices, same.minimum, same.maximum)
    if choices:
        return Field(label, "choice", required, choices)
    kind = "number" if highest is not None else said or ("yes_no" if questioned else guess_kind(label))
    if kind == "number":
        if highest is None and RATING.search(label):
            lowest, highest = 1, 5
        return Field(label, "number", required, minimum=lowest, maximum=highest)
    if label.lower() in ("status", "state") and kind == "text":
        return Field(label, "choice", required, ("open", "in progress", "done"))
    return Field(label, kind, required)


def guess_kind(label: str) -> Kind:
    if _NOT_A_NUMBER.search(label):
        return "text"
    return next((kind for kind, pattern in _KIND_BY_WORDS if pattern.search(label)), "text")


def read_list(text: str, known: tuple[Field, ...] = ()) -> list[Field]:
    """The fields of a list such as `a name, a species and needs sun (yes/no)`; what is prose is left out."""
    found: dict[str, Field] = {}
    for part in items(text):
        if _PROSE.search(re.sub(r"\([^)]*\)|yes ?/ ?no|^(?:whether|if|when|who|where|how)\b.*", "", part)):
            continue
        field = None if _DEED.search(part) else read_field(part, known)
        if field and len(found) < MOST_READ:
            found.setdefault(field.name, field)
    return list(found.values())


def _bounds(words: str) -> tuple[float | None, float | None, str]:
    for pattern in (_SCALE, _OUT_OF):
        match = pattern.search(words)
        if match:
            low, high = (match[1], match[2]) if pattern is _SCALE else ("1", match[1])
            if float(low) < float(high):
                return float(low), float(high), (words[: match.start()] + words[match.end() :]).strip()
    return None, None, words


def _said(words: str) -> tuple[Kind | None, tuple[str, ...], str]:
    """The kind in brackets, or the choices, and what is left as the label."""
    match = _CHOICES.search(words)
    if match is None:
        return None, (), words
    told = match["inside"] or match["after"] or match["said"]
    label = words[: match.start()]
    for kind, pattern in _SAID_KIND:
        if pattern.match(told.strip()):
            return kind, (), label
    parts = (re.sub(r"[^\w '’&+.#%€$-]", "", part).strip(" .'") for part in _SPLIT_CHOICES.split(told))
    choices = tuple(dict.fromkeys(part for part in parts if part))
    if len(choices) >= 2 and all(len(choice) <= 40 for choice in choices):
        return None, choices[:12], label
    return None, (), label if match["inside"] else words
