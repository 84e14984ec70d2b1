"""Client Relations: one question at a time, in the client's own words, until the picture is clear.

The cast has no memory, so what was asked is recognised by a phrase that each question holds.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.values import clip
from workers.agents.facts import SUM_UP
from workers.agents.outputs import ClientReply
from workers.llm.model import Message
from workers.rehearsal.blueprint import Blueprint, Field
from workers.rehearsal.reading import read_plan, read_things, told_fields
from workers.rehearsal.wishes import Wish, read_first_wishes, with_requested, without_room
from workers.rehearsal.words import capital, clipped, listed

MOST_QUESTIONS = 4

THING, PROBLEM, AUDIENCE, FIELDS, SUCCESS = "thing", "problem", "audience", "fields", "success"
PHRASES = {
    THING: "keep a list of",
    PROBLEM: "put an end to",
    AUDIENCE: "Who will use it",
    FIELDS: "would note",
    SUCCESS: "worth it",
}

_GO = re.compile(
    r"^(?:(?:ok(?:ay)?|yes|great|fine|good|alright|please|now|let'?s|just|you can|we can|then|,|\.|!"
    r"|\s)+)?(?:go(?: ahead| for it| on| now)?|start(?: building| now| it)?|build(?: it)?|begin|do it"
    r"|ship it|get going|that'?s (?:all|it|enough)|enough(?: questions)?|no more questions?|nothing (?:else"
    r"|more)|proceed|make it|i'?m done|done|ready|let'?s go)(?:[\s,.!]+(?:please|now|already|ahead|then"
    r"|building|it|thanks|thank you))*[\s.!]*$",
    re.IGNORECASE,
)
_TELLS = {
    PROBLEM: re.compile(
        r"\b(?:because|problem|trouble|forget\w*|forgot\w*|los(?:e|es|ing)|lost track|hard to|difficult"
        r"|tired of|annoy\w*|instead of|currently|at the moment|messy|mess|chaos|can'?t|cannot|never know"
        r"|nobody knows|sick of|struggl\w*|spread ?sheets?|sticky notes?|on paper)\b",
        re.IGNORECASE,
    ),
    AUDIENCE: re.compile(
        r"\b(?:for (?:me|myself|us|(?:my|our|the|a) (?:\w+ )?(?:family|team|club|class|school|company"
        r"|office|house\w*|friends?|neighbou?rs?|group|choir|band|members?|students?|customers?|colleagues?"
        r"|flatmates?|kids|children|wife|husband|partner|mother|father|grand\w+))|(?:i|we)(?: alone"
        r"| all)? (?:will |would )?use|only me|just me|members?|neighbou?rs|colleagues|flatmates|users?)\b",
        re.IGNORECASE,
    ),
    SUCCESS: re.compile(
        r"\b(?:success\w*|happy (?:when|if)|worth it|done when|at a glance|so that|so (?:i|we|everyone"
        r"|everybody|nobody)|in order to|goal|aim|finally|know(?:s)? (?:which|what|who|where|when))\b",
        re.IGNORECASE,
    ),
}  # fmt: skip
_VAGUE = re.compile(
    r"\b(?:you decide|up to you|don'?t know|no idea|whatever|not sure|as you like|your choice"
    r"|sounds (?:good|fine|great)|looks (?:good|fine|great))\b|^(?:yes|no|ok(?:ay)?|fine|good|perfect|great"
    r"|nothing|none)[\s.!]*$",
    re.IGNORECASE,
)


LIMITED = "I go by a script that knows plain English only; what I do not understand becomes the title."


@dataclass(frozen=True)
class Talk:
    """The conversation, understood: the idea, and the client's answer to each topic that was asked."""

    idea: str
    answers: dict[str, str]
    asked: tuple[str, ...]

    @property
    def said(self) -> str:
        return "\n".join([self.idea, *self.answers.values()])

    @property
    def plan(self) -> Blueprint:
        plan = read_plan(
            self.idea,
            tuple(self.answers.values()),
            about_things=self.answers.get(THING, ""),
            about_fields=self.answers.get(FIELDS, ""),
        )
        return with_requested(self.said, plan)

    @property
    def wishes(self) -> list[Wish]:
        plan = self.plan
        return read_first_wishes(self.said, plan) + without_room(plan)


def read_talk(turns: Sequence[tuple[bool, str]]) -> Talk:
    """`turns` are (whether the client speaks, text), oldest first. What answers no question is the idea."""
    ideas: list[str] = []
    answers: dict[str, str] = {}
    asked: list[str] = []
    for is_client, text in turns:
        if not is_client:
            own = re.sub("“[^”]*”", "", text)
            asked += [topic for topic, phrase in PHRASES.items() if phrase in own and topic not in asked]
        elif text == SUM_UP or (ideas and _GO.match(text.strip())):
            continue
        elif asked:
            answers[asked[-1]] = "\n".join(filter(None, [answers.get(asked[-1], ""), text.strip()]))
        else:
            ideas.append(text.strip())
    return Talk("\n".join(ideas), answers, tuple(asked))


def reply(messages: Sequence[Message]) -> ClientReply:
    """The next question, or the farewell with its summary."""
    talk = read_talk([(message.role == "user", message.text) for message in messages])
    last = next((message.text for message in reversed(messages) if message.role == "user"), "")
    told_to = last == SUM_UP or (len(messages) > 1 and _GO.match(last.strip()))
    topic = None if told_to else _next_topic(talk)
    if topic is None:
        return ClientReply(reply=_farewell(talk), done=True, summary=summary(talk))
    return ClientReply(reply=f"{_echo(talk)} {_question(topic, talk)}".strip(), done=False)


def _next_topic(talk: Talk) -> str | None:
    if len(talk.asked) >= MOST_QUESTIONS:
        return None
    return next((topic for topic in PHRASES if topic not in talk.asked and not _known(topic, talk)), None)


def _known(topic: str, talk: Talk) -> bool:
    if topic == THING:
        return bool(read_things(talk.said)[0])
    if topic == FIELDS:
        return bool(told_fields(talk.said))
    return bool(_TELLS[topic].search(talk.said))


def _echo(talk: Talk) -> str:
    """What was just said, given back: a client should see that somebody listened."""
    if not talk.asked:
        plan = talk.plan
        return (
            f"{plan.title}, what a good thing to build! {plan.icon}"
            if plan.one != "entry"
            else f"Hello, good to have you here! {LIMITED}"
        )
    said = talk.answers.get(talk.asked[-1], "")
    if not said or _VAGUE.search(said):
        return "Very well, we will choose something sensible there."
    quoted = f"“{clipped(said.splitlines()[-1].rstrip('.!'), 20)}”"
    return {
        THING: f"{capital(talk.plan.many)} it is then.",
        PROBLEM: f"I see: {quoted}. That is what this app should spare you.",
        AUDIENCE: f"{quoted}: good to know, that keeps it simple enough for everybody.",
        FIELDS: f"Noted: every {talk.plan.one} will have {_fields(talk.plan)}.",
    }.get(talk.asked[-1], "Thank you.")


def _question(topic: str, talk: Talk) -> str:
    plan = talk.plan
    if topic == THING:
        return (
            f"What would you like to {PHRASES[THING]} – books, plants, tools, expenses, something quite "
            "different?"
        )
    if topic == PROBLEM:
        return (
            f"How do you keep your {plan.many} today, and what is the trouble that this should "
            f"{PHRASES[PROBLEM]}?"
        )
    if topic == AUDIENCE:
        return f"{PHRASES[AUDIENCE]}: only you, or others as well?"
    if topic == FIELDS:
        return (
            f"For {plan.a_one} I {PHRASES[FIELDS]} {_fields(plan)}. What would you add or leave out? And "
            "should it do anything beyond adding, changing, removing and finding them?"
        )
    return f"One last question: a month from now, how will you see that it was {PHRASES[SUCCESS]}?"


def _fields(plan: Blueprint) -> str:
    return listed([_told(field) for field in plan.fields])


def _told(field: Field) -> str:
    label = field.label if field.label.isupper() else field.label[:1].lower() + field.label[1:]
    return f"{label} ({', '.join(field.choices)})" if field.choices else label


def _farewell(talk: Talk) -> str:
    plan = talk.plan
    cannot = [wish.words for wish in talk.wishes if wish.kind == "cannot"]
    honest = (
        f" To be honest with you, one part is beyond us: {listed(cannot)}. You will find it marked so."
        if cannot
        else ""
    )
    return (
        f"Thank you, I have all we need. We will build “{plan.title}”: {plan.many} with {_fields(plan)}, "
        f"which you can add, change, remove and search on any screen.{honest} I am handing over to our "
        "Business Analyst; lean back and watch."
    )


def summary(talk: Talk) -> str:
    """What was agreed, in the client's words."""
    plan = talk.plan
    lines = [talk.idea or plan.title]
    for topic, name in (
        (PROBLEM, "The problem"),
        (AUDIENCE, "For whom"),
        (FIELDS, "Wishes"),
        (SUCCESS, "Success"),
    ):
        said = talk.answers.get(topic, "")
        if said and not _VAGUE.search(said):
            lines.append(f"{name}: {said}")
    lines.append(f"{capital(plan.a_one)} has {_fields(plan)}.")
    return clip("\n".join(lines), 3900)
