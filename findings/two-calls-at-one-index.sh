#!/usr/bin/env bash
# pydantic-ai-slim 2.68.0 with openai 3.57.0. Some servers of the chat completions API stream two calls of tools, each
# whole in one chunk and with an id of its own, but both at "index": 0. The library glues them into one call: both names,
# both arguments, the second id. No error is raised.
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
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.tools import ToolDefinition


def chunk(delta, reason=None):
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def call(ident, name, arguments):
    function = {"name": name, "arguments": arguments}
    return {"tool_calls": [{"index": 0, "id": ident, "type": "function", "function": function}]}


def answer(_):
    calls = [chunk(call("call_1", "read", '{"path": "a"}')), chunk(call("call_2", "list", '{"folder": "b"}'))]
    chunks = [*calls, chunk({}, "tool_calls")]
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
    tools = [ToolDefinition(name=name, parameters_json_schema={"type": "object", "properties": {}}) for name in ("read", "list")]
    question = [ModelRequest(parts=[UserPromptPart("Look.")])]
    parameters = ModelRequestParameters(function_tools=tools)
    async with model_request_stream(model, question, model_request_parameters=parameters) as stream:
        async for _ in stream:
            pass
        for found in stream.get().tool_calls:
            print(found.tool_name, found.args, found.tool_call_id)


asyncio.run(main())
PROGRAM

cat >seen <<'SEEN'
readlist {"path": "a"}{"folder": "b"} call_2
SEEN

venv/bin/python program.py >now
diff seen now && echo "as it was"
