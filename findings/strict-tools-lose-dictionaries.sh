#!/usr/bin/env bash
# pydantic-ai-slim 2.68.0 with openai 3.57.0. A tool with strict=True and a parameter that is a dictionary of free names
# is sent with a schema in which this dictionary may hold nothing at all, and without the default of another parameter,
# which becomes required. No error or warning: a model that follows the schema can only pass {}.
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
from pydantic_ai.messages import ModelRequest, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.tools import ToolDefinition

SCHEMA = {
    "type": "object",
    "properties": {
        "files": {"type": "object", "additionalProperties": {"type": "string"}},
        "note": {"type": "string", "default": "none"},
    },
    "required": ["files"],
}


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
    model = OpenAIChatModel("gpt-4o", provider=OpenAIProvider(openai_client=client))
    save = ToolDefinition(name="save", parameters_json_schema=SCHEMA, strict=True)
    question = [ModelRequest(parts=[UserPromptPart("Save them.")])]
    await model_request(model, question, model_request_parameters=ModelRequestParameters(function_tools=[save]))
    sent = Server.asked[-1]["tools"][0]["function"]["parameters"]
    print("files:", json.dumps(sent["properties"]["files"], sort_keys=True))
    print("note:", json.dumps(sent["properties"]["note"], sort_keys=True))
    print("required:", sent["required"])


asyncio.run(main())
PROGRAM

cat >seen <<'SEEN'
files: {"additionalProperties": false, "properties": {}, "required": [], "type": "object"}
note: {"type": "string"}
required: ['files', 'note']
SEEN

venv/bin/python program.py >now
diff seen now && echo "as it was"
