"""`App.spec`: what is known of the app, for clients and for later stages.

`requirements`, `summary` and `discussion` keep the types that clients rely on; the typed facts are in further
fields. Each value comes from the last run that reached its stage.
"""

from collections.abc import Collection
from typing import Any

from pydantic import BaseModel, ConfigDict

from app.store.tables import App
from workers.agents.outputs import DecisionRecord, Prd, Requirement
from workers.context import Change, Context


class Contribution(BaseModel):
    """One turn of the discussion, in the form that clients read."""

    agent: str
    role: str
    content: str
    objections: list[str] = []


class Spec(BaseModel):
    """`profile` is the kind of app, decided in the first run; "" until then. `new` are the ids of the
    requirements that this run adds or changes, `changed` those that mean something else since this
    continuation. `contract` are texts of the client whose names hold to the letter, oldest first. `decision`
    and `prd` are those of the run before until this run has its own."""

    model_config = ConfigDict(extra="ignore")

    requirements: str = ""
    summary: str = ""
    discussion: list[Contribution] = []
    model: str = ""
    profile: str = ""
    requirement_list: list[Requirement] = []
    new: list[str] = []
    changed: list[str] = []
    contract: list[str] = []
    assumptions: list[str] = []
    decision: DecisionRecord | None = None
    prd: Prd | None = None

    def dump(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_none=True)

    def promised(self, *, but: Collection[str] = ()) -> list[Requirement]:
        """The requirements in the words of the PRD, which say all that is still to be known of them; those of
        the ids `but` in the words of the Business Analyst."""
        texts = {item.id: item.text for item in self.prd.requirements} if self.prd else {}
        return [
            item.model_copy(update={"description": texts[item.id]})
            if item.id in texts and item.id not in but
            else item
            for item in self.requirement_list
        ]


async def load(context: Context) -> Spec:
    app = await context.app()
    return Spec() if app is None else Spec.model_validate(app.spec)


async def store(change: Change, spec: Spec) -> App:
    """Write the specification into the job's app row, making it if need be."""
    app = await change.app()
    app.spec = spec.dump()
    return app


def requirements_text(requirements: list[Requirement]) -> str:
    """The requirements as text, a line each."""
    return "\n".join(f"- {r.id} ({r.priority}) {r.title}: {r.description}" for r in requirements)
