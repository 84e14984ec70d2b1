"""The pieces of a reply that are sent before it is complete."""

from uuid import uuid4

import orjson
import pytest
from redis.asyncio import Redis

from app.events.redis import CHANNEL, WHISPER
from tests.helpers.company import company
from tests.helpers.house import House
from workers.llm.model import Answer, Hear, Question
from workers.llm.scripted import ScriptedModel
from workers.pipeline.voice import Voice

TEXT = '{"reply": "Who is \\"it\\" for? 🙂", "done": false}'


def test_every_beginning_of_an_answer_tells_a_beginning_of_the_reply() -> None:
    voice = Voice(uuid4(), "Client Relations", "reply")
    said, ids = "", set()
    for end in range(len(TEXT) + 1):
        voice.hear(TEXT[:end])
        if (delta := voice.delta()) is not None:
            body = orjson.loads(delta)
            assert body.keys() == {"kind", "jobId", "id", "sender", "text"}
            said += body["text"]
            ids.add(body["id"])
    assert said == 'Who is "it" for? 🙂'
    assert ids == {str(voice.id)}


def test_another_beginning_has_another_id() -> None:
    voice = Voice(uuid4(), "Client Relations", "reply")
    voice.hear('{"reply": "Well')
    first = orjson.loads(voice.delta() or "")
    voice.hear('{"reply": "No')
    second = orjson.loads(voice.delta() or "")
    assert (first["text"], second["text"]) == ("Well", "No")
    assert first["id"] != second["id"] == str(voice.id)


@pytest.mark.parametrize("text", ["", "prose", "{", "[1", '{"reply": 7', '{"reply": "\\ud8', '{"done": true'])
def test_text_that_is_no_reply_gives_no_delta(text: str) -> None:
    voice = Voice(uuid4(), "Client Relations", "reply")
    voice.hear(text)
    assert voice.delta() is None


class Slow(ScriptedModel):
    async def ask(self, question: Question, hear: Hear | None = None) -> Answer:
        answer = await super().ask(question, hear)
        if hear is not None:
            hear(answer.text[: len(answer.text) // 2])
            await self.heard()
        return answer

    async def heard(self) -> None:
        raise NotImplementedError


async def test_the_delta_has_the_id_of_the_message(house: House, redis_url: str) -> None:
    redis: Redis = Redis.from_url(redis_url)
    async with redis.pubsub() as ear:
        await ear.psubscribe(f"{CHANNEL}*")
        whispered: list[dict[str, str]] = []

        async def heard() -> None:
            while not whispered:
                message = await ear.get_message(ignore_subscribe_messages=True, timeout=5)
                text = message["data"].decode() if message else ""
                if text.startswith(WHISPER):
                    whispered.append(orjson.loads(text.removeprefix(WHISPER)))

        model = Slow(company())
        model.heard = heard  # type: ignore[method-assign]
        async with house.worker(model):
            job_id = await house.begin()
            events = await house.events(job_id)
    await redis.aclose()
    (reply,) = [event for event in events if event.get("sender") == "Client Relations"]
    assert whispered[0]["id"] == reply["id"]
    assert whispered[0]["jobId"] == str(job_id)
    assert reply["content"].startswith(whispered[0]["text"])
    assert all(event["kind"] != "messageDelta" for event in events)
