"""Who is asked what: one line a purpose. A new role or purpose is a line here and a prompt beside it."""

from dataclasses import dataclass
from pathlib import Path

from app.domain.conversation import Agent
from app.domain.workspace import NetworkMode
from workers.agents.network import TOLD

PROMPTS = Path(__file__).parent / "prompts"


@dataclass(frozen=True)
class Role:
    """`purpose` names the prompt in `prompts/` and, for a scripted model, what is wanted."""

    agent: Agent
    purpose: str
    max_tokens: int = 4096

    def instructions(self, network: NetworkMode) -> str:
        return _PROMPT[self.purpose].replace("{agent}", self.agent).replace("{network}", TOLD[network])


CLIENT_RELATIONS = Role(Agent.CLIENT_RELATIONS, "intake", 1500)
BUSINESS_ANALYST = Role(Agent.BUSINESS_ANALYST, "analysis", 6000)
CEO = Role(Agent.CEO, "discussion", 1500)
CTO = Role(Agent.CTO, "discussion", 1500)
SECRETARY = Role(Agent.SECRETARY, "decision", 3000)
PRD_WRITER = Role(Agent.PROJECT_MANAGER, "prd", 8000)
PROJECT_MANAGER = Role(Agent.PROJECT_MANAGER, "ticketing", 12000)
PROVER = Role(Agent.PROJECT_MANAGER, "checks", 8000)
BUILDER = Role(Agent.BUILDER, "building", 16000)
REVIEWER = Role(Agent.CTO, "review", 6000)

ROLES = (
    CLIENT_RELATIONS,
    BUSINESS_ANALYST,
    CEO,
    CTO,
    SECRETARY,
    PRD_WRITER,
    PROJECT_MANAGER,
    PROVER,
    BUILDER,
    REVIEWER,
)

_PROMPT = {path.stem: path.read_text("utf-8") for path in sorted(PROMPTS.glob("*.md"))}
