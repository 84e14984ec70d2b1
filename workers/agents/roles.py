"""Who is asked what: one line a purpose. A new role or purpose is a line here and a prompt beside it."""

from dataclasses import dataclass
from pathlib import Path

from app.domain.conversation import Agent
from app.domain.workspace import NetworkMode
from workers.agents.network import TOLD

PROMPTS = Path(__file__).parent / "prompts"


@dataclass(frozen=True)
class Role:
    """`purpose` names the prompt in `prompts/` and, for a scripted model, what is wanted; `does` says to a
    client what the agent does while it thinks."""

    agent: Agent
    purpose: str
    max_tokens: int
    does: str

    def instructions(self, network: NetworkMode) -> str:
        return _PROMPT[self.purpose].replace("{agent}", self.agent).replace("{network}", TOLD[network])


CLIENT_RELATIONS = Role(Agent.CLIENT_RELATIONS, "intake", 1500, "reads what you said")
BUSINESS_ANALYST = Role(Agent.BUSINESS_ANALYST, "analysis", 6000, "writes down the requirements")
CEO = Role(Agent.CEO, "discussion", 1500, "thinks about the requirements")
CTO = Role(Agent.CTO, "discussion", 1500, "thinks about the requirements")
SECRETARY = Role(Agent.SECRETARY, "decision", 3000, "records the decision")
PRD_WRITER = Role(Agent.PROJECT_MANAGER, "prd", 8000, "writes the PRD")
PROJECT_MANAGER = Role(Agent.PROJECT_MANAGER, "ticketing", 12000, "cuts tickets")
PROVER = Role(Agent.PROJECT_MANAGER, "checks", 8000, "writes checks")
COMPARER = Role(Agent.CTO, "comparison", 3000, "compares the plan with your words")
BUILDER = Role(Agent.BUILDER, "building", 16000, "thinks and writes code")
JUDGE = Role(Agent.PROJECT_MANAGER, "contest", 4000, "looks at a contested check")
REVIEWER = Role(Agent.CTO, "review", 6000, "reads the finished code")

ROLES = (
    CLIENT_RELATIONS,
    BUSINESS_ANALYST,
    CEO,
    CTO,
    SECRETARY,
    PRD_WRITER,
    PROJECT_MANAGER,
    PROVER,
    COMPARER,
    BUILDER,
    JUDGE,
    REVIEWER,
)

_PROMPT = {path.stem: path.read_text("utf-8") for path in sorted(PROMPTS.glob("*.md"))}
