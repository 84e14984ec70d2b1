"""JSON as models write it: what is meant is read, what is not a call or an answer is refused."""

import orjson
import pytest
from pydantic import ValidationError

from workers.agents.outputs import Backlog, ClientReply, Requirements
from workers.agents.reading import read_answer, read_arguments, writes_calls
from workers.agents.tools import ReadFile, StartApp, WriteFile
from workers.llm.model import ToolCall
from workers.pipeline.ticket import toolbox

GOOD = '{"reply": "Hello, you.", "done": false}'
ANSWERS = {
    "plain": GOOD,
    "a sentence before": f"Sure! Here {{it}} is:\n{GOOD}",
    "a code fence, then a sentence with braces": f"```json\n{GOOD}\n```\nI left {{summary}} out, and {{}} "
    f"too.",
    "a draft first": f'{{"reply": "Draft."}}\nNo, better:\n{GOOD}',
    "two answers": f'{{"reply": "Draft.", "done": true, "summary": "x"}}\n{GOOD}',
    "null for a default": '{"reply": "Hello, you.", "done": false, "summary": null}',
    "a key too many": '{"reasoning": "Be kind.", "reply": "Hello, you.", "done": false, "confidence": 0.9}',
    "wrapped": f'{{"answer": {GOOD}}}',
    "wrapped twice, and a key too many": '{"result": {"answer": {"x": 1, "reply": "Hello, you.", "done": '
    "false}}}",
    "wrapped as a text": orjson.dumps({"arguments": GOOD}).decode(),
    "as a call": f'{{"name": "answer", "arguments": {GOOD}}}',
    "in the schema's own form": f'{{"type": "object", "properties": {GOOD}}}',
    "raw tabs": '{"reply": "Hello, you.",\t"done": false, "summary": "a\tb"}',
}


@pytest.mark.parametrize("text", ANSWERS.values(), ids=ANSWERS)
def test_the_answer_that_is_meant(text: str) -> None:
    assert read_answer(ClientReply, text).reply == "Hello, you."


def test_keys_too_many_and_nulls_deep_inside() -> None:
    check = {"kind": "http", "id": "c1", "criterion": 0, "path": "/", "expect_text": None, "timeout": 9}
    ticket = {
        "key": "T1",
        "type": "task",
        "title": "A page",
        "parent": None,
        "acceptance_criteria": ["It answers."],
        "checks": [check | {"method": None}],
        "estimate": 3,
    }
    backlog = read_answer(Backlog, orjson.dumps({"tickets": [ticket], "notes": "x"}).decode())
    assert backlog.tickets[0].checks[0].kind == "http"


REFUSED = {
    "nothing": "",
    "prose": "Well, I would {begin} with the users.",
    "cut off": '{"reply": "Hel',
    "a null that is needed": '{"reply": null, "done": false}',
    "the wrong type": '{"reply": "x", "done": "maybe"}',
    "too deep": '{"reply": ' + "[" * 50_000,
    "too many braces": "{" * 100_000,
    "a number without bounds": '{"reply": "x", "done": NaN}',
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        read_answer(ClientReply, text)


def test_the_errors_are_those_of_the_answer_not_of_a_brace_behind_it() -> None:
    with pytest.raises(ValidationError, match="requirements"):
        read_answer(Requirements, '{"summary": "Two pages.", "requirements": [{"id": 1}]} and {"x": 1}')


WRITTEN = {
    "raw line breaks": '{"path": "a", "content": "one\n\ttwo"}',
    "encoded twice": orjson.dumps('{"path": "a", "content": "one\\n\\ttwo"}').decode(),
    "encoded twice, with raw line breaks": '"{\\"path\\": \\"a\\", \\"content\\": \\"one\n\ttwo\\"}"',
    "in a list": '[{"path": "a", "content": "one\\n\\ttwo"}]',
    "in a code fence": '```json\n{"path": "a", "content": "one\\n\\ttwo"}\n```',
    "a mark behind": '{"path": "a", "content": "one\\n\\ttwo"}</tool_call>',
    "named once more": '{"name": "write_file", "arguments": {"path": "a", "content": "one\\n\\ttwo"}}',
}


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
def test_arguments_that_are_meant(text: str) -> None:
    read = read_arguments(WriteFile, text)
    assert (read.value.path, read.value.content, list(read.ignored)) == ("a", "one\n\ttwo", [])


def test_what_is_ignored_is_said_to_the_model() -> None:
    arguments = '{"path": "a", "first": null, "last": null, "explanation": "I look."}'
    assert read_arguments(ReadFile, arguments).value == ReadFile(path="a")
    said = toolbox.remark(ToolCall("1", "read_file", arguments))
    assert "`first`, `explanation`" in said
    assert toolbox.remark(ToolCall("1", "read_file", '{"path": "a"}')) == ""


@pytest.mark.parametrize("text", ["{}", '{"reason": "x"}', "{ }\n"])
def test_a_tool_without_arguments(text: str) -> None:
    assert read_arguments(StartApp, text).value == StartApp()


@pytest.mark.parametrize(
    "text", ["", "{nonsense", '{"path": "a", "content": "impo', "null", "[1, 2]", '{"path": 7}']
)
def test_arguments_that_are_none(text: str) -> None:
    with pytest.raises(ValidationError):
        read_arguments(WriteFile, text)


CALLS = [
    '<tool_call>\n{"name": "write_file"}\n</tool_call>',
    "<function=write_file><parameter=path>a</parameter></function>",
    "[TOOL_CALLS][]",
    "<|python_tag|>write_file()",
    "<|channel|>commentary to=functions.write_file",
    "```tool_code\nwrite_file()\n```",
    '<invoke name="write_file">',
]


@pytest.mark.parametrize("text", CALLS)
def test_a_call_in_words_is_seen(text: str) -> None:
    assert writes_calls(f"Now I write it.\n{text}")
    assert not writes_calls("Now I call the function that writes <b>tools</b>.")
