"""What agents are told of what was said before them: the client's own words, as they travel to those who are
held to them, and what an earlier run has decided."""

from app.domain.conversation import Agent
from app.store import rows
from workers.agents.facts import Before, Chat
from workers.context import Context
from workers.pipeline.spec import Spec

CLIENT = "Client"
"""How the agents are told who wrote a message. The client's name or email must not reach a model's server."""


async def conversation(context: Context) -> list[Chat]:
    """The conversation with Client Relations, numbered from 1."""
    async with context.look() as session:
        chat = await rows.chat(session, context.job_id)
    return [
        Chat(number=number, who=CLIENT if said.role == "user" else Agent.CLIENT_RELATIONS, text=said.content)
        for number, said in enumerate(chat, 1)
    ]


async def binding(context: Context, spec: Spec) -> list[Chat]:
    """What those who plan and judge are shown: in a first run the conversation. On a continuation it is old,
    but for the texts whose names hold to the letter. The wish itself is shown beside it."""
    run = await context.run()
    if not run.requirements:
        chat = await conversation(context)
        return [said.model_copy(update={"contract": _holds(said, spec)}) for said in chat]
    texts = [text for text in spec.contract if text != run.requirements]
    return [Chat(number=number, who=CLIENT, text=text, contract=True) for number, text in enumerate(texts, 1)]


def _holds(said: Chat, spec: Spec) -> bool:
    return said.who == CLIENT and said.text in spec.contract


def before_of(spec: Spec) -> Before | None:
    """What the run before has decided and left open; None if it did not come so far."""
    if spec.decision is None:
        return None
    return Before(
        decision=spec.decision.decision,
        questions=spec.prd.questions if spec.prd else [],
        out_of_scope=spec.prd.out_of_scope if spec.prd else [],
    )
