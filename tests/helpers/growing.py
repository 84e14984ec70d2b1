"""A scripted company whose app gets one more page with each continuation, and keeps entries."""

from typing import Any

from tests.helpers.company import DONE, PRD, company, story
from tests.helpers.entries import builder
from workers.agents.facts import AnalysisFacts, BuildingFacts, PrdFacts, TicketingFacts
from workers.agents.outputs import Backlog, PrdRequirement, Requirement, Requirements
from workers.llm.model import Question
from workers.llm.scripted import Line, Script

STORES = ("data/entries.txt", "entries.txt")
"""Where git ignores the app's entries, and where it does not. The idea names the one that an app uses."""


def page(number: int) -> tuple[str, str]:
    """The path of the page that the run `number` builds, counted from 1, and the word that it shows."""
    return ("/", "hello") if number == 1 else (f"/page{number}", f"word{number}")


def one_page_a_run() -> Script:
    def analysis(question: Question) -> Line:
        known = AnalysisFacts.model_validate_json(question.messages[0].text)
        number = len(known.known) + 1
        added = Requirement(
            id=f"R{number}", title=f"Page {number}", description=page(number)[1], priority="must"
        )
        return Requirements(summary=known.conversation[0].text, requirements=[*known.known, added])

    def prd(question: Question) -> Line:
        asked = PrdFacts.model_validate_json(question.messages[0].text).requirements
        promised = [PrdRequirement(id=item.id, text=item.title, priority=item.priority) for item in asked]
        return PRD.model_copy(update={"requirements": promised})

    def ticketing(question: Question) -> Line:
        uncovered = TicketingFacts.model_validate_json(question.messages[0].text).uncovered
        drafts = [
            story(f"T{place}", *page(int(wanted.removeprefix("R"))), wanted, [])
            for place, wanted in enumerate(uncovered)
        ]
        return Backlog(tickets=[draft.model_copy(update={"parent": ""}) for draft in drafts])

    builders: dict[str, Any] = {store: builder(store) for store in STORES}

    def building(question: Question) -> Line:
        shown = BuildingFacts.model_validate_json(question.messages[0].text)
        line: Line = builders[next(store for store in STORES if shown.summary.endswith(f" {store}"))](
            question
        )
        return line

    return company(intake=lambda _: DONE, analysis=analysis, prd=prd, ticketing=ticketing, building=building)
