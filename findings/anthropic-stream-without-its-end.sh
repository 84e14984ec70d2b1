#!/usr/bin/env bash
# pydantic-ai-slim 2.68.0 with anthropic 2.14.0. A stream of Anthropic's that breaks off in order (a proxy closes it in
# the middle: neither message_delta nor message_stop has come) raises nothing. The caller gets half a sentence and half
# a call as a complete answer; only `finish_reason`, which is None, tells them from a whole one.
set -euo pipefail
here="$(mktemp -d)"
trap 'rm -rf "$here"' EXIT
cd "$here"
unset HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check 'pydantic-ai-slim[anthropic]==2.68.0' anthropic==2.14.0

cat >program.py <<'PROGRAM'
import asyncio
import http.server
import json
import threading

from anthropic import AsyncAnthropic
from pydantic_ai.direct import model_request_stream
from pydantic_ai.messages import ModelRequest, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.tools import ToolDefinition

MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": [],
    "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 5, "output_tokens": 1},
}

BEGUN = [
    {"type": "message_start", "message": MESSAGE},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "I save the fi"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start", "index": 1,
        "content_block": {"type": "tool_use", "id": "toolu_1", "name": "save", "input": {}},
    },
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"path": "a'}},
]


def answer(_):
    events = (f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in BEGUN)
    return 200, "text/event-stream", "".join(events).encode()


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
    client = AsyncAnthropic(api_key="none", base_url=url, max_retries=0)
    model = AnthropicModel("claude-sonnet-4-5", provider=AnthropicProvider(anthropic_client=client))
    save = ToolDefinition(name="save", parameters_json_schema={"type": "object", "properties": {"path": {"type": "string"}}})
    question = [ModelRequest(parts=[UserPromptPart("Save it.")])]
    parameters = ModelRequestParameters(function_tools=[save])
    async with model_request_stream(model, question, model_request_parameters=parameters) as stream:
        async for _ in stream:
            pass
        whole = stream.get()
    print("text:", whole.text)
    print("call:", *((call.tool_name, call.args) for call in whole.tool_calls))
    print("finish_reason:", whole.finish_reason)


asyncio.run(main())
PROGRAM

cat >seen <<'SEEN'
text: I save the fi
call: ('save', '{"path": "a')
finish_reason: None
SEEN

venv/bin/python program.py >now
diff seen now && echo "as it was"
