"""What the client wants to keep: the things, their fields and the app's title, out of the client's words."""

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace

from workers.rehearsal.blueprint import Blueprint, Field, has_room
from workers.rehearsal.domains import DOMAINS, Domain, matching
from workers.rehearsal.fields import read_list
from workers.rehearsal.words import capital, clipped, plural, sentences, singular

LONGEST_WORD = 30

ANYTHING = (
    Field("Name", required=True),
    Field("Category"),
    Field("Date", "date"),
    Field("Status", "choice", choices=("open", "in progress", "done")),
    Field("Notes", "note"),
)

_STOP = frozenset([
    "a", "an", "the", "my", "our", "your", "their", "his", "her", "its", "all", "some", "any", "every",
    "each", "of", "for", "with", "from", "in", "on", "at", "by", "to", "and", "or", "that", "which",
    "who", "what", "where", "when", "how", "we", "i", "you", "it", "they", "is", "are", "this", "these",
    "those", "so", "but", "app", "application", "tool", "website", "site", "web", "page", "system",
    "list", "lists", "tracker", "simple", "small", "little", "nice", "new", "good", "great", "big",
    "better", "easy", "private", "personal", "digital", "online", "things", "thing", "stuff",
    "everything", "something", "anything", "one", "ones", "what's", "shared", "central", "own", "old",
    "want", "wants", "need", "needs", "like", "would", "wish", "have", "has", "had", "having", "do",
    "does", "did", "can", "could", "should", "whom", "whose", "whether", "keep", "track", "plan",
    "waiting", "mailing", "watching",
])  # fmt: skip
_NOUN = r"((?:[a-zß-ÿ'-]+ ){0,2}[a-zß-ÿ'-]+)"
_OWNED = (
    r"(?:(?:all|of|my|our|the|your|their|his|her|some|a|an|every|new|(?:mileage|names?|numbers?|details|state"
    r"|status|whereabouts|prices?|history)(?= of))\s+)*"
)
_EACH = re.compile(
    r"\b(?:each|every)\s+((?:[a-zß-ÿ'-]+ ){0,1}?[a-zß-ÿ'-]+)\s*(?:,|:|\b(?:also |should |must |can "
    r"|needs to |will |may )*(?:has|have|needs|gets|with|stores?|records?|consists? of|includes?|contains?"
    r"|we (?:want|need|note|record|store|keep)|i (?:want|need|note|record|store|keep)))\b",
    re.IGNORECASE,
)
_COLLECTION_OF = re.compile(
    r"\b(?:list|collection|catalogu?e|inventory|database|register|directory|log|archive|overview|library"
    rf"|record|diary|journal)s? of {_OWNED}{_NOUN}",
    re.IGNORECASE,
)
_KEPT = re.compile(
    r"\b(?:keep(?:s|ing)? track of|track(?:ing)?|keep(?:s|ing)?|manag(?:e|ing)|organi[sz](?:e|ing)"
    r"|catalogu?e|collect(?:ing)?|remember|forget|record(?:ing)?|stor(?:e|ing)|log(?:ging)?"
    rf"|list(?:ing)?) {_OWNED}{_NOUN}",
    re.IGNORECASE,
)
_TRACKER = re.compile(
    rf"\b{_NOUN}\s+(?:tracker|list|log|collection|catalogu?e|inventory|manager|database|organi[sz]er"
    r"|register|directory|planner|journal|archive|diary|system)\b",
    re.IGNORECASE,
)
_MY = re.compile(r"^(?:all )?(?:my|our) ((?:[\w'’-]+ ){0,3}[a-z]+[^\Wsiu]s)$", re.IGNORECASE)
_WHICH = re.compile(rf"\bwhich {_NOUN}", re.IGNORECASE)
_HAS = (
    r"(?:also |should |must |can |needs to |will |may )*(?:has|have|gets?|stores?|records?|consists? of"
    r"|includes?|contains?|we (?:want|need|note|record|store|keep)|i (?:want|need|note|record|store|keep))"
)
_FIELD_LISTS = (
    re.compile(rf"\b(?:each|every) (?:[\w'-]+ ){{1,2}}?{_HAS}:? (?P<list>.+)$", re.IGNORECASE),
    re.compile(r"\b(?:each|every) [\w'-]+(?: [\w'-]+)? ?(?:with|:) ?(?P<list>.+)$", re.IGNORECASE),
    re.compile(r"^[^:]+: ?(?P<list>[^,:]+,[^,:]+,.+)$", re.IGNORECASE),
    re.compile(
        r"\bfor (?:each|every) (?:[\w'-]+ ?){1,2}(?:,|:)? ?(?:(?:we"
        r"|i) \w+(?: to \w+)?(?: down)? )?(?P<list>.+)$",
        re.IGNORECASE,
    ),
    re.compile(
        r"\b(?:fields|columns|properties|attributes)(?: are| like| such as)?:? (?P<list>.+)$", re.IGNORECASE
    ),
    re.compile(r"\b(?:note|record|write) (?:down )?(?P<list>(?:the |its |their )?\w.+,.+)$", re.IGNORECASE),
    re.compile(r"\bwith (?:a |an |the |its |their )?(?P<list>[^.]+?(?:,| and )[^.]+)$", re.IGNORECASE),
)
_AFTER_LIST = re.compile(
    r"[,;]?\s+(?:so that|because|since we|such that|in order|which would|that way|but |and (?:it|we|i|they"
    r"|let|send|export|filter|everyone|everybody|members|people|also (?:export|filter|send|let))\b).*$",
    re.IGNORECASE,
)
_WITHOUT = re.compile(
    r"\b(?:without|no need for|drop|leave out|skip|except|not|no) (?:the |a |an )?(?P<list>[\w ,-]+)",
    re.IGNORECASE,
)
_MORE = re.compile(
    r"\b(?:add|also|plus|and maybe|as well as|in addition|additionally|extra)\b:? ?(?P<list>.+)$",
    re.IGNORECASE,
)

_REQUEST = re.compile(
    r"^(?:(?:hi|hello|hey|please|ok|well)[,!. ]+)*(?:(?:can|could|would) you (?:please )?|please )?(?:(?:i"
    r"|we)(?:'d| would)? (?:want|need|like|love|wish)(?: to have| to)?|build|make|create|write|give|develop"
    r"|design)?(?: me| us)?\s*(?:(?:(?:an?|the) (?:small |simple |little |nice |web |tiny )*(?:(?:app"
    r"|application|website)(?: for| to| that| where| which)?|(?:tool|site|program|place|page) (?:for|to|that"
    r"|where|which))|(?:something|somewhere|app) (?:for|to|that|where|which))(?: i can| we can"
    r"| can| lets? (?:me|us))?)?\s*(?:to (?=catalog))?",
    re.IGNORECASE,
)
_DOING = re.compile(
    r"^(?:keep(?:ing)? track of|keeps? track of|track(?:s|ing)?|manag(?:e|es|ing)|organi[sz](?:e|es|ing)"
    r"|stor(?:e|es|ing)|collect(?:s|ing)?|record(?:s|ing)?|remember(?:s|ing)?|keep(?:s|ing)?|log(?:s"
    r"|ging)?|plan(?:s|ning)?|catalogu?(?:e|es|ing))\s+",
    re.IGNORECASE,
)
_TITLE_END = re.compile(
    r"[,.;:!?(\n–]| - |\b(?:that|with|where|which|so|because|including|we|i|they|each|every|whether|when|who"
    r"|whom|and (?:export|send|filter|their|its|when|who|whom|what|how|if|whether|where|which))\b",
    re.I,
)

_NAMED = re.compile(r"[^\W\d_]{3}")
_VERB = re.compile(
    r"\b(?:can|keep|keeps|should|must|will|is|are|has|have|hello|hi|lend|borrow|need|want)\b", re.IGNORECASE
)


_ASKING = re.compile(r"(?:who|whom|whose|what|when|where|which|how|whether|if)\b", re.IGNORECASE)


def read_things(text: str) -> tuple[str, str, Domain | None]:
    """What is kept: one of them, many of them, and the domain if it is a known one. ("", "", None) if nothing
    in the text says so."""
    text = re.sub('["“”„]', "", text)
    for pattern in (_EACH, _COLLECTION_OF, _TRACKER, _KEPT):
        for match in pattern.finditer(text):
            domain = _domain_of(match[0] if pattern is _TRACKER else match[1])
            asks = _ASKING.match(match[1])
            noun = "" if asks else _noun(match[1], last=pattern is _TRACKER)
            if domain and not (noun and pattern is _EACH):
                return domain.one, domain.many, domain
            if noun:
                return singular(noun), plural(singular(noun)), domain
    domain = matching(text)
    if domain:
        return domain.one, domain.many, domain
    asked, owned = _WHICH.search(text), _MY.match(text.strip(" .!"))
    noun = _noun(asked[1], last=False) if asked else _noun(owned[1], last=True) if owned else ""
    noun = singular(noun)
    return noun, plural(noun) if noun else "", None


def read_plan(
    idea: str, answers: Sequence[str] = (), about_things: str = "", about_fields: str = ""
) -> Blueprint:
    """The blueprint of the whole conversation; `about_…` are the answers to the questions for these."""
    text = "\n".join([idea, *answers])
    one, many, domain = read_things(idea)
    if not one:
        one, many, domain = read_things(text)
    named = _noun(re.split(r"[,.;:!?\n]", about_things)[0], last=False) if not one else ""
    if named:
        one, many = singular(named), plural(singular(named))
    one, many = one or "entry", many or "entries"
    known = domain.fields if domain else ANYTHING
    listed = told_fields(text, known)
    fields = _named(listed, domain, one) if listed else _asked_after(idea, list(known))
    if about_fields and not listed:
        fields = _answered(about_fields, fields, known)
    headed, beyond = _headed(fields)
    return Blueprint(
        title=read_title(idea, many),
        one=one,
        many=many,
        fields=headed,
        beyond=tuple(field.label for field in beyond),
        icon=domain.icon if domain else "🗂️",
        hue=domain.hue if domain else zlib.crc32(many.encode()) % 360,
    )


def told_fields(text: str, known: tuple[Field, ...] = ()) -> list[Field]:
    """The fields that a sentence of the text lists by itself, at least two."""
    found: dict[str, Field] = {}
    for sentence in sentences(text):
        for pattern in _FIELD_LISTS:
            match = pattern.search(sentence)
            fields = read_list(_AFTER_LIST.sub("", match["list"]), known) if match else []
            if len(fields) >= 2 or (fields and pattern in _FIELD_LISTS[:2]):
                found |= {field.name: field for field in fields if field.name not in found}
                break
    return list(found.values())


def read_title(idea: str, many: str) -> str:
    """The idea's own first words where they name something, else `Our books`."""
    said = " ".join(idea.split())
    said = _REQUEST.sub("", said, count=1) or said
    said = _DOING.sub("", said, count=1)
    said = re.sub(r"^(?:an?|the)\s+(?:small |simple |little |nice |tiny )*", "", said, flags=re.IGNORECASE)
    said = _TITLE_END.split(said, maxsplit=1)[0].strip(" \"'“”-")
    said = re.sub(r"[^\w &'’/+-]", "", re.sub(r"\bof all (?:the )?", "of ", said))
    words = said.split()
    if not 1 <= len(words) <= 8 or len(said) > 48 or not _NAMED.search(said) or _VERB.search(said):
        return f"Our {many}"
    return capital(clipped(said, 8))


def _answered(answer: str, fields: list[Field], known: tuple[Field, ...]) -> list[Field]:
    """The usual fields after the client's answer: more of them, fewer, or a list of the client's own."""
    for sentence in sentences(answer):
        without = _WITHOUT.search(sentence)
        gone = {field.label.lower() for field in read_list(without["list"])} if without else set()
        fields = [field for field in fields if field.label.lower() not in gone] or fields
        rest = sentence[: without.start()] if without else sentence
        more = _MORE.search(rest)
        new = read_list(_AFTER_LIST.sub("", more["list"] if more else rest), known)
        if not more and len(new) >= 3:
            fields = new
        elif more or len(new) == len([part for part in rest.split(",") if part.strip()]):
            fields += [field for field in new if field.name not in {item.name for item in fields}]
    return fields


_NAMES = re.compile(
    r"\b(?:names?|titles?|terms?|phrases?|sentences?|what|which|models?|artists?|albums?|species|subjects?|topics?|labels?|words?|brand"
    r"|company|product|questions?|makes?)\b",
    re.IGNORECASE,
)


def _named(fields: list[Field], domain: Domain | None, one: str) -> list[Field]:
    """The client's list, with what a thing is called in front where no field of it says so."""
    heading = domain.fields[0] if domain else Field("Name")
    if any(
        _NAMES.search(each.label) or each.label.lower() in (one, heading.label.lower()) for each in fields
    ):
        return fields
    return [heading, *fields]


_AND_WHEN = re.compile(
    r"\b(?:and|with) (?P<asked>(?:when|who|where|whether|how (?:many|much|old|long|often)) [\w'’ ]+)$", re.I
)


def _asked_after(idea: str, fields: list[Field]) -> list[Field]:
    """The usual fields and what the idea asks after besides, such as `and when they were pruned`."""
    for sentence in sentences(idea):
        asked = _AND_WHEN.search(sentence)
        new = read_list(asked["asked"]) if asked else []
        for field in new[:1]:
            root = re.sub(r" (?:on|by)$", "", field.label.lower())
            if not any(root in each.label.lower() for each in fields):
                place = len(fields) - (fields[-1].kind == "note")
                fields = [*fields[:place], field, *fields[place:]]
    return fields


def _headed(fields: list[Field]) -> tuple[tuple[Field, ...], list[Field]]:
    """The first text comes first and is required: it is what a thing is called. And what has no room."""
    heading = next((field for field in fields if field.kind == "text"), None) or Field("Name")
    kept = [replace(heading, required=True)]
    beyond: list[Field] = []
    for field in fields:
        if field.name != heading.name:
            (kept if has_room(kept, field) else beyond).append(field)
    return tuple(kept), beyond


def _domain_of(noun: str) -> Domain | None:
    return next((domain for domain in DOMAINS if domain.words.search(noun)), None)


def _noun(words: str, *, last: bool) -> str:
    """The noun with its adjective: of `old maps for our` the words before the first that cannot belong to it
    (with `last`, the words after the last such)."""
    kept: list[str] = []
    for word in reversed(words.lower().split()) if last else words.lower().split():
        if word in _STOP or len(word) > LONGEST_WORD or word.endswith(("'s", "s'")):
            if kept:
                break
            continue
        kept.append(word)
    chosen = (kept[::-1] if last else kept)[-2:] if last else kept[:2]
    return " ".join(chosen)
