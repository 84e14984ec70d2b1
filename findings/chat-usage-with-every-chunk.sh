#!/usr/bin/env bash
# pydantic-ai-slim 2.68.0 with openai 3.57.0. Some servers of the chat completions API send the usage so far with every
# chunk of a stream (prompt 100 tokens, completion 1, 2, 3). The library adds these up: the answer that cost 100 and 3
# tokens is reported as 300 and 6. A setting, `openai_continuous_usage_stats`, says that a server does so; without it
# nothing warns.
set -euo pipefail
here="$(mktemp -d)"
trap 'rm -rf "$here"' EXIT
cd "$here"
unset HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check 'pydantic-ai-slim[openai]==2.68.0' openai==3.57.0

cat >program.py <<'PROGRAM'
import asyncio
import http.server
import json
import threading

from openai import AsyncOpenAI
from pydantic_ai.direct import model_request_stream
from pydantic_ai.messages import ModelRequest, UserPromptPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


def chunk(text, number, reason=None):
    choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": reason}
    usage = {"prompt_tokens": 100, "completion_tokens": number, "total_tokens": 100 + number}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def answer(_):
    chunks = [chunk("One ", 1), chunk("two ", 2), chunk("three.", 3, "stop")]
    data = "".join(f"data: {json.dumps(each)}\n\n" for each in chunks) + "data: [DONE]\n\n"
    return 200, "text/event-stream", data.encode()


class Server(http.server.BaseHTTPRequestHandler):
    asked = []

    def do_POST(self):
        self.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        status, kind, data = answer(self.asked[-1])
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=listening.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{listening.server_port}"


async def main():
    client = AsyncOpenAI(api_key="none", base_url=f"{url}/v1", max_retries=0)
    model = OpenAIChatModel("m", provider=OpenAIProvider(openai_client=client))
    question = [ModelRequest(parts=[UserPromptPart("Count.")])]
    for settings in ({}, {"openai_continuous_usage_stats": True}):
        async with model_request_stream(model, question, model_settings=settings) as stream:
            async for _ in stream:
                pass
            whole = stream.get()
        print(settings, whole.text, whole.usage.input_tokens, whole.usage.output_tokens)


asyncio.run(main())
PROGRAM

cat >seen <<'SEEN'
{} One two three. 300 6
{'openai_continuous_usage_stats': True} One two three. 100 3
SEEN

venv/bin/python program.py >now
diff seen now && echo "as it was"
