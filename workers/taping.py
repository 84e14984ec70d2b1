"""Writing a job as a tape: `python -m workers.taping JOB`, on the database of DATABASE_URL."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.errors import Unavailable
from app.domain.values import clip, parse_id
from app.settings import BadSettings, load_settings
from app.store import tapes
from app.store.database import look, open_engine
from app.store.tapes import Step
from workers.agents.network import TOLD
from workers.agents.roles import ROLES
from workers.llm.model import Answer
from workers.llm.tape import Asked, Did, Head, Prompt, Said, TapeLine, Words, digest

RESULT_CHARS = 2000
_ANSWER: TypeAdapter[Answer] = TypeAdapter(Answer)
_CALL = re.compile(r"build\.[0-9a-f-]{36}\.\d+\.\d+\.\d+")
"""The keys of tool calls. Other steps of kind `tool` are not on a tape."""


async def tape(session: AsyncSession, job_id: UUID, note: str = "") -> AsyncIterator[TapeLine]:
    """The job as the lines of a tape; none when there is no such job. The words of instructions that have
    changed since they were used are not on it."""
    told = await tapes.told(session, job_id)
    if told is None:
        return
    yield Head(note=note, **asdict(told))
    today = (role.instructions(network) for role in ROLES for network in TOLD)
    instructions = {digest(text): text for text in today}
    given: dict[tuple[str, str], Prompt] = {}
    async for step in tapes.steps(session, job_id):
        if step.kind == "tool":
            if _CALL.fullmatch(step.key):
                yield Did(result=clip(step.payload, RESULT_CHARS))
        elif step.asked:
            asked = Asked.model_validate_json(step.asked)
            prompt = Prompt(agent=step.agent, purpose=asked.purpose, digest=asked.prompt, shape=asked.shape)
            if given.get((step.agent, asked.purpose)) != prompt:
                given[step.agent, asked.purpose] = prompt
                yield prompt
                for text in instructions.get(asked.prompt, "").splitlines():
                    yield Words(text=text)
            yield _said(step, asked)


def _said(step: Step, asked: Asked) -> Said:
    """The answer without `thoughts`, which only its own model can use."""
    answer = _ANSWER.validate_json(step.payload)
    return Said(
        agent=step.agent,
        purpose=asked.purpose,
        model=step.model,
        last=asked.last,
        text=answer.text,
        calls=list(answer.calls),
        tokens=answer.tokens,
        finish_reason=answer.finish_reason,
    )


async def _write(database_url: str, job_id: UUID) -> bool:
    """Whether there is such a job."""
    engine = open_engine(database_url)
    found = False
    try:
        async with look(engine) as session:
            async for line in tape(session, job_id):
                found = True
                sys.stdout.write(line.model_dump_json() + "\n")
    finally:
        await engine.dispose()
    return found


def main() -> int:
    """Exit code 2: there is nothing to write."""
    job_id = parse_id(sys.argv[1]) if len(sys.argv) == 2 else None
    try:
        if job_id is not None and asyncio.run(_write(load_settings().database_url, job_id)):
            return 0
    except (BadSettings, Unavailable) as problem:
        sys.stderr.write(f"{problem}\n")
    else:
        sys.stderr.write("There is no such job.\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
