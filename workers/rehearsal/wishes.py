"""Wishes: what a text asks for beyond keeping things, one by one, and what the cast can make of each."""

import re
from dataclasses import dataclass, replace
from typing import Literal

from workers.rehearsal.blueprint import Blueprint, Field, has_room, slug
from workers.rehearsal.domains import DOMAINS
from workers.rehearsal.fields import read_field, read_list
from workers.rehearsal.impossible import BEYOND, reason_against
from workers.rehearsal.words import clipped, items, listed, sentences


@dataclass(frozen=True)
class Wish:
    """`words` are the client's. `field` is the new one, or the one to filter by. `reason` says why not."""

    kind: Literal["field", "export", "filter", "there", "cannot"]
    words: str
    field: Field | None = None
    reason: str = ""


_VERBS = (
    r"(?:add|export|filter|let|make|send|allow|show|include|give|support|integrate|enable|provide|remove"
    r"|change|put|create|i(?:'d)?|we(?:'d)?|it|please|also|then|each|every|download|import|sort|print|have"
    r"|notify|remind|users?|members?|people|a way|a filter|an? export)"
)
_NEXT = re.compile(
    rf"\s*,?\s*\b(?:and also|and then|as well as|plus|and)\s+(?={_VERBS}\b)|\s*,\s*(?:and\s+)?(?={_VERBS}\b)",
    re.I,
)
_COURTESY = re.compile(
    r"^(?:hi|hello|hey|please|pls|thanks?(?: you)?(?: (?:very|so) much| a lot)?|great(?: work| job)?"
    r"|nice(?: work)?|cool|wow|perfect|well done|that (?:would|will) be (?:great|all|nice|lovely)"
    r"|that'?s (?:all|it)|ok(?:ay)?|good(?: work| job)?|love(?:ly)?(?: it)?|cheers|looks (?:good|great)"
    r"|(?:i|we) (?:like|love) it(?: very much| a lot)?|no|yes|nothing(?: else| more)?)[\s.!,]*$",
    re.IGNORECASE,
)
_ASKING = re.compile(
    r"^(?:(?:and|now|next|then|also|please|oh|well|hi|hello|,)\s+)*(?:(?:can|could|would|will) (?:you|we|i"
    r"|it)\s+)?(?:please\s+)?(?:also\s+)?(?:(?:i|we)(?:'d| would)?\s+(?:also\s+)?(?:want|need|like|love"
    r"|wish)(?:\s+(?:to have|to see|to|for|it to))?\s+)?(?:also\s+)?(?:please\s+)?",
    re.IGNORECASE,
)
_ADD = re.compile(
    r"^(?:(?:each|every) [\w -]+? (?:should |must |can |needs to |could )?(?:also )?(?:has|have|needs|get"
    r"|gets|store|stores)|add|include|record|store|note|track|keep|give (?:it|each \w+|every \w+)|have"
    r"|put in|introduce|know|extend \w+ (?:with|by)|(?:it|they) should (?:also )?(?:have|include"
    r"|store))\s+(?P<list>.+)$",
    re.IGNORECASE,
)
_EXPORT = re.compile(
    r"\b(?:csv|excel|spread ?sheets?)\b|\bexport(?:s|ed|ing|able)?\b|\bdownload(?:s|ed|ing|able)?\b", re.I
)
_CSV = re.compile(r"\b(?:csv|excel|spread ?sheets?)\b", re.IGNORECASE)
_FILTER = re.compile(
    r"\bfilter(?:s|ed|ing|able)?\b|\b(?:show|see|list|display) only\b|\bonly (?:show|see|list|display)\b"
    r"|\bnarrow\w*\b|\bbrows\w+ by\b",
    re.I,
)
_THERE = (
    (r"\bsearch\w*|\bfind\b|\blook (?:for|up)\b", "the search box above the list finds every {one}"),
    (r"\b(?:dark|light) (?:mode|theme)", "the app follows the system's light or dark setting"),
    (
        r"\b(?:edit|change|update|delete|remove|correct)(?:ing|s)? (?:an? |the |any |my |our |existing "
        r"|old )*(?:{things}|items?|entr(?:y|ies)|them|it)\b",
        "every {one} can be edited and removed",
    ),
    (
        r"\b(?:works?|usable|looks? good|fits?)\b.*\b(?:phones?|mobiles?|tablets?|small screens?)"
        r"|\bresponsive\b|\bmobile[- ]friendly",
        "the pages fit phones as they are",
    ),
)
"""What every app of the cast's can do from the beginning, and how a client is told so."""

_FEATURE_WORDS = re.compile(
    r"\b(?:button|mode|view|page|screen|feature|function(?:ality)?|support|option|theme|design|logo"
    r"|colou?rs?|font|animation|tab|menu|sidebar|landing|home ?page|widget|system|app|website|game|tool|way"
    r"|ability|possibility|wizard|help)\b",
    re.IGNORECASE,
)
_SHOULD = re.compile(
    r"\b(?:it|that|app|site|page|tool|system|which) (?:should|must|can|could|has to"
    r"|needs to) (?:also )?(?P<verb>\w+)",
    re.I,
)
_UNDERSTOOD = re.compile(
    r"^(?:keeps?|store|show|list|add|edit|change|delete|remove|search|find|ha(?:ve|s)|be|let|help|make|work"
    r"|look|save|record|note|track|remember|see|know|export|filter|stay|hold|contain|include|tell|give|fit"
    r"|run|allow|say|just)$",
    re.IGNORECASE,
)

_REQUEST = re.compile(
    r"^(?:(?:and|but|oh|please|then)\s+)*(?:add|include|(?:i|we)(?:'d| would) also like|(?:(?:it|they|(?:each"
    r"|every) \w+) (?:should|must|can) )?also (?:an?|the|add|include|show|have|has|let|send|keep|note|record"
    r"|store|track|see|list|tell))\b",
    re.IGNORECASE,
)
"""What asks for more, whatever was the question."""

_FULL = "{a_one} has as many fields as it can hold"


def read_wishes(text: str, plan: Blueprint) -> list[Wish]:
    """The wishes of a continuation. Every part of the text that is no courtesy becomes at least one."""
    found: list[Wish] = []
    for clause in clauses(text):
        wishes, plan = _taken(_read_clause(clause, plan), plan)
        found += wishes
    return _distinct(found) or [
        Wish("cannot", clipped(text.strip(), 12), reason="it names no change to the app")
    ]


def read_first_wishes(text: str, plan: Blueprint) -> list[Wish]:
    """The wishes in the talk before a first run: most of it is about other things, so only what clearly asks
    for something is taken for a wish."""
    found = []
    for sentence in sentences(text):
        for clause in _NEXT.split(sentence):
            if _REQUEST.match(clause):
                taken, _ = _taken(_read_clause(clause, plan), plan)
                found += [wish for wish in taken if wish.kind not in ("field", "there")]
                continue
            if _FILTER.search(clause) or _CSV.search(clause) or re.search(r"\bexport", clause, re.I):
                found += [wish for wish in _read_clause(clause, plan) if wish.kind != "field"]
                continue
            found += _against(clause, plan)
    return _distinct(found)


def with_requested(text: str, plan: Blueprint) -> Blueprint:
    """The plan with the fields that the talk before a first run asks for besides those it lists."""
    for sentence in sentences(text):
        for clause in _NEXT.split(sentence):
            if _REQUEST.match(clause):
                _, plan = _taken(_read_clause(clause, plan), plan)
    return plan


def _taken(wishes: list[Wish], plan: Blueprint) -> tuple[list[Wish], Blueprint]:
    """The wishes, and the plan with their fields; those that have no room cannot be met."""
    taken = []
    for wish in wishes:
        if wish.field and wish.kind == "field":
            if has_room(plan.fields, wish.field):
                plan = replace(plan, fields=(*plan.fields, wish.field))
            else:
                wish = Wish("cannot", wish.words, reason=_FULL.format(a_one=plan.a_one))
        taken.append(wish)
    return taken, plan


def without_room(plan: Blueprint) -> list[Wish]:
    """The fields that were asked for at first and are left out."""
    words = f"the further field{'s' * (len(plan.beyond) > 1)} {clipped(listed(plan.beyond), 60)}"
    return [Wish("cannot", words, reason=_FULL.format(a_one=plan.a_one))] if plan.beyond else []


def clauses(text: str) -> list[str]:
    parts = [part for sentence in sentences(text) for part in _NEXT.split(sentence)]
    return [part.strip(" ,") for part in parts if part.strip(" ,") and not _COURTESY.match(part.strip(" ,"))]


def _read_clause(clause: str, plan: Blueprint) -> list[Wish]:
    words = _ASKING.sub("", clause).strip(" ,.!?") or clause
    words = re.sub(
        r"[ ,]+(?:too|as well|please|also|thanks|thank you|again|if possible)$", "", words, flags=re.I
    )
    if re.search(r"\bimport", words, re.I):
        return [Wish("cannot", words, reason=reason_against("import"))]
    if _FILTER.search(words):
        return _filters(words, plan)
    if _EXPORT.search(words):
        return _exports(words)
    there = _already(words, plan)
    if there:
        return [Wish("there", words, reason=there)]
    return _fields(words, plan)


def _exports(words: str) -> list[Wish]:
    others = [part for part in items(words) if not _CSV.search(part)]
    against = [
        Wish("cannot", part if re.search("export", part, re.I) else f"export as {part}", reason=reason)
        for part in others
        if (reason := reason_against(part))
    ]
    return ([Wish("export", words)] if _CSV.search(words) or not against else []) + against


def _filters(words: str, plan: Blueprint) -> list[Wish]:
    """For each field that is named; for the first with few values if none is; by its own choice (`only show
    finished books`) too."""
    named = [
        field
        for field in plan.fields
        if _mentions(words, field)
        or any(re.search(rf"\b{re.escape(choice)}\b", words, re.I) for choice in field.choices)
    ]
    by = re.search(r"\bby (?P<list>.+)$", words, re.IGNORECASE)
    parts = items(by["list"]) if by else []
    unknown = [part for part in parts if not any(_mentions(part, field) for field in plan.fields)]
    if not named and not unknown:
        named = [field for field in plan.fields if field.kind in ("choice", "yes_no")][:1]
    wishes = [Wish("filter", words, field) for field in named if field.kind != "note"]
    wishes += [
        Wish("cannot", f"filter by {part}", reason=f"a {plan.one} has no such field yet; add the field first")
        for part in unknown
        if not re.fullmatch(r"(?:it|that|them|this)", part, re.I)
    ]
    return wishes or [
        Wish("cannot", words, reason=f"a {plan.one} has no field with a few values to filter by")
    ]


def _mentions(words: str, field: Field) -> bool:
    said = f"_{slug(words)}_"
    return f"_{slug(field.label)}_" in said or f"_{slug(field.label)}s_" in said


def _already(words: str, plan: Blueprint) -> str:
    things = rf"(?:{re.escape(plan.many)}|{re.escape(plan.one)})"
    for pattern, told in _THERE:
        if re.search(pattern.replace("{things}", things), words, re.IGNORECASE):
            return told.format(one=plan.one, many=plan.many)
    return ""


def _fields(words: str, plan: Blueprint) -> list[Wish]:
    explicit = bool(re.search(r"\b(?:fields?|columns?|propert(?:y|ies)|attributes?)\b", words, re.I))
    listed = _ADD.match(words)
    things = rf"(?:{re.escape(plan.one)}|{re.escape(plan.many)}|items?|entr(?:y|ies)|cards?|list|app)"
    of_each = rf"\s+(?:for|to|of|on|with|in) (?:(?:each|every|all|the|an?|my|our|of) )*{things}$"
    text = re.sub(of_each, "", listed["list"] if listed else words, flags=re.IGNORECASE)
    wishes: list[Wish] = []
    for part in items(text):
        reason = "" if explicit and "photo" not in part else reason_against(part)
        if reason:
            wishes.append(Wish("cannot", part, reason=reason))
            continue
        field = _new_field(part, plan, confident=bool(listed) or explicit)
        if field is None:
            wishes.append(
                Wish("cannot", clipped(words if len(items(text)) == 1 else part, 20), reason=BEYOND)
            )
        elif plan.field(field.name):
            wishes.append(Wish("there", part, reason=f"a {plan.one} already has a field {field.label}"))
        else:
            wishes.append(Wish("field", part, field))
    return wishes


def _new_field(part: str, plan: Blueprint, *, confident: bool) -> Field | None:
    known = tuple(field for domain in DOMAINS if domain.many == plan.many for field in domain.fields)
    fields = read_list(part, known)
    field = fields[0] if fields else None
    if field is None or (_FEATURE_WORDS.search(part) and not re.search(r"\b(?:field|column)\b", part, re.I)):
        return None
    typed = field.kind != "text" or len(field.label.split()) <= 2
    return read_field(part, known) if confident or (typed and len(part.split()) <= 8) else None


def _against(clause: str, plan: Blueprint) -> list[Wish]:
    bare = re.sub("|".join(re.escape(field.label) for field in plan.fields), "", clause, flags=re.I)
    bare = re.sub(
        rf"\b(?:{re.escape(plan.title)}|{re.escape(plan.many)}|{re.escape(plan.one)})\b", "", bare, flags=re.I
    )
    wishes = [
        Wish("cannot", _LEADING.sub("", _ASKING.sub("", part)).strip(" ,.") or part, reason=reason)
        for part in items(bare)
        if (reason := reason_against(part)) and not _NEGATED.search(part)
    ]
    if wishes:
        return wishes
    asked = _SHOULD.search(clause)
    if asked and not _UNDERSTOOD.match(asked["verb"]) and not _already(clause, plan):
        return [Wish("cannot", clipped(clause, 20), reason=BEYOND)]
    return []


_LEADING = re.compile(r"^\s*(?:with|and|plus|also|including|it should)\s+", re.IGNORECASE)
_NEGATED = re.compile(
    r"\b(?:no|not|without|never|don't|doesn't|instead of|rather than|nobody|nothing)\b", re.IGNORECASE
)


def _distinct(wishes: list[Wish]) -> list[Wish]:
    """Each wish once."""
    seen: dict[tuple[str, str], Wish] = {}
    for wish in wishes:
        about = wish.field.name if wish.field else "" if wish.kind == "export" else wish.words.lower()
        seen.setdefault((wish.kind, about), wish)
    return list(seen.values())
