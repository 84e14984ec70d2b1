#!/usr/bin/env bash
# pydantic-ai-slim 2.68.0 with openai 3.57.0. A stored answer of OpenAI's Responses API holds a thought with an id such
# as rs_1. When the conversation goes on over chat completions of the same provider, the library takes this id for the
# name of the field in which the thought came, and sends a message with a field called "rs_1".
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
from pydantic_ai.direct import model_request
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, ThinkingPart, UserPromptPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


def answer(_):
    choice = {"index": 0, "message": {"role": "assistant", "content": "Done."}, "finish_reason": "stop"}
    whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return 200, "application/json", json.dumps(whole).encode()


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
    model = OpenAIChatModel("gpt-5", provider=OpenAIProvider(openai_client=client))
    thought = ThinkingPart("It is a greeting.", id="rs_1", provider_name="openai")
    said = [
        ModelRequest(parts=[UserPromptPart("Hello.")]),
        ModelResponse(parts=[thought, TextPart("Hello!")], provider_name="openai"),
        ModelRequest(parts=[UserPromptPart("How are you?")]),
    ]
    await model_request(model, said)
    print(json.dumps(Server.asked[-1]["messages"][1], sort_keys=True))


asyncio.run(main())
PROGRAM

cat >seen <<'SEEN'
{"content": "Hello!", "role": "assistant", "rs_1": "It is a greeting."}
SEEN

venv/bin/python program.py >now
diff seen now && echo "as it was"
