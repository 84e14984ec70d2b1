"""How an agent is asked. The answer is stored, then validated; after an invalid answer it is asked again, at
most twice."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Generic, TypeVar
from uuid import UUID

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError

from app.domain.stages import WaitingFor
from app.domain.values import clip
from workers.agents.outputs import Output
from workers.agents.reading import read_answer
from workers.agents.roles import Role
from workers.context import Context
from workers.ledger import RunLedger
from workers.llm.calling import call
from workers.llm.lineup import Patience
from workers.llm.model import Answer, Hear, Message, ModelMisbehaved, Question, ToolSpec
from workers.llm.tape import of_question
from workers.steps import Result, once
from workers.waiting import go_on

O = TypeVar("O", bound=Output)  # noqa: E741 - the output's type

RE_ASKS = 2
QUOTED_ERRORS = 8
ANSWERS_AGAIN = "The model answers again; work goes on."

_ANSWER: TypeAdapter[Answer] = TypeAdapter(Answer)


@dataclass(frozen=True)
class Spoken(Generic[O]):
    """A valid answer, and the name of the model that gave it."""

    value: O
    model: str


class Unusable(ModelMisbehaved):
    """No answer was valid. `step` is the key prefix of the stored answers, which a retry must not use
    again."""

    def __init__(self, step: str, detail: str) -> None:
        super().__init__(detail)
        self.step = step


async def speak(
    context: Context,
    key: str,
    role: Role,
    messages: tuple[Message, ...],
    *,
    schema: Mapping[str, Any] | None = None,
    tools: tuple[ToolSpec, ...] = (),
    ticket_id: UUID | None = None,
    strong: bool = False,
    hear: Hear | None = None,
) -> Answer:
    """One answer, stored as step `key`, from the role's model or, with `strong`, from MODEL_STRONG. Raises
    ModelUnavailable, BudgetSpent."""
    question = Question(
        agent=role.agent,
        purpose=role.purpose,
        instructions=role.instructions(context.resources.runtime.network),
        messages=messages,
        schema=schema,
        tools=tools,
        max_tokens=context.models.answer_tokens(role.max_tokens),
    )
    text = orjson.dumps(question).decode()

    async def make() -> Result:
        ledger = RunLedger(context, key, role.agent, ticket_id)
        models = context.models.speakers(role.agent, strong=strong)
        patience = await _patience(context)
        with context.awaited.asked(), context.progress.doing(f"{role.agent} {role.does}", ticket_id):
            called = await call(models, question, ledger, patience, hear)
        await go_on(context, WaitingFor.MODEL, ANSWERS_AGAIN)
        return Result(
            payload=_ANSWER.dump_json(called.answer).decode(),
            agent=role.agent,
            model=called.answer.model,
            asked=of_question(question).model_dump_json(),
            bill=ledger.bill(called),
        )

    return _ANSWER.validate_json(await once(context, key, "model", text, make))


async def _patience(context: Context) -> Patience:
    """A run that has waited for a model keeps its worker for one try only."""
    patience = context.models.patience
    if (await context.run()).waiting_for == WaitingFor.MODEL:
        return replace(patience, tries=1, in_slot_s=0)
    return patience


async def ask(
    context: Context,
    key: str,
    role: Role,
    messages: tuple[Message, ...],
    shape: type[O],
    check: Callable[[O], None] = lambda _: None,
    *,
    hear: Hear | None = None,
) -> Spoken[O]:
    """A typed answer. `check` raises ValueError for rules that `shape` cannot express. Errors are shown to
    the model.

    Raises Unusable after two re-asks, ModelUnavailable.
    """
    problems, schema = "", _schema(shape)
    for attempt in range(1 + RE_ASKS):
        answer = await speak(context, f"{key}.{attempt}", role, messages, schema=schema, hear=hear)
        try:
            value = read_answer(shape, answer.text)
            check(value)
        except ValidationError as error:
            problems = _quote(error)
        except ValueError as error:
            problems = str(error)
        else:
            return Spoken(value, answer.model)
        if answer.finish_reason == "length":
            problems = "the answer was cut off; give a shorter one"
        messages = (
            *messages,
            Message("assistant", clip(answer.text, 20_000)),
            Message("user", f"That cannot be used: {problems}\nAnswer again with the corrected JSON only."),
        )
    raise Unusable(f"{key}.", f"{role.agent} gave no usable answer ({role.purpose}): {clip(problems, 300)}")


@cache
def _schema(shape: type[Output]) -> Mapping[str, Any]:
    """Without the docstrings, which are for us: the prompt says what each field is."""
    whole = shape.model_json_schema()
    shapes = [whole, *whole.get("$defs", {}).values()]
    for each in shapes:
        each.pop("description", None)
    return whole


def facts(value: BaseModel) -> tuple[Message, ...]:
    """The first message of a question: what the agent needs to know, as JSON."""
    return (Message("user", value.model_dump_json(exclude_none=True)),)


def _quote(error: ValidationError) -> str:
    lines = [
        f"{'.'.join(map(str, item['loc'])) or 'answer'}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False)[:QUOTED_ERRORS]
    ]
    return "; ".join(lines)
