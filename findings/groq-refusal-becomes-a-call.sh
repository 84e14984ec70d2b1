#!/usr/bin/env bash
# pydantic-ai-slim 2.68.0 with groq 1.7.0. Groq answers 400 with the code tool_use_failed when what the model wrote is no
# valid call of a tool. If the text in failed_generation can be read as a call, the library raises nothing: it returns that
# call, with the arguments that the server has just refused (here a number for a string, and a parameter that there is
# not). finish_reason is "error", and the usage is nothing.
set -euo pipefail
here="$(mktemp -d)"
trap 'rm -rf "$here"' EXIT
cd "$here"
unset HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check 'pydantic-ai-slim[groq]==2.68.0' groq==1.7.0

cat >program.py <<'PROGRAM'
import asyncio
import http.server
import json
import threading

from groq import AsyncGroq
from pydantic_ai.direct import model_request
from pydantic_ai.messages import ModelRequest, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.groq import GroqModel
from pydantic_ai.providers.groq import GroqProvider
from pydantic_ai.tools import ToolDefinition

WRITTEN = {"name": "save", "arguments": {"path": 7, "mode": "fast"}}


def answer(_):
    error = {
        "message": "Failed to call a function.", "type": "invalid_request_error", "code": "tool_use_failed",
        "failed_generation": json.dumps(WRITTEN),
    }
    return 400, "application/json", json.dumps({"error": error}).encode()


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
    client = AsyncGroq(api_key="none", base_url=url, max_retries=0)
    model = GroqModel("m", provider=GroqProvider(groq_client=client))
    schema = {"type": "object", "properties": {"path": {"type": "string"}}, "additionalProperties": False}
    parameters = ModelRequestParameters(function_tools=[ToolDefinition(name="save", parameters_json_schema=schema)])
    question = [ModelRequest(parts=[UserPromptPart("Save it.")])]
    found = await model_request(model, question, model_request_parameters=parameters)
    print("call:", *((call.tool_name, call.args) for call in found.tool_calls))
    print("finish_reason:", found.finish_reason, "tokens:", found.usage.total_tokens)


asyncio.run(main())
PROGRAM

cat >seen <<'SEEN'
call: ('save', {'path': 7, 'mode': 'fast'})
finish_reason: error tokens: 0
SEEN

venv/bin/python program.py >now
diff seen now && echo "as it was"
