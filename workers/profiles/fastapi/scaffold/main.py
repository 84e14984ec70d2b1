"""The app: its paths and what they answer."""

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, PlainTextResponse

import apidocs

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A new app</title>
<h1>Nothing here yet</h1>
</html>
"""

app = FastAPI(title="A new app", docs_url=None, redoc_url=None)


@app.get("/", response_class=HTMLResponse, include_in_schema=False)
def front_page() -> str:
    return PAGE


@app.get("/health", response_class=PlainTextResponse)
def health() -> str:
    return "ok"


@app.get("/docs", response_class=HTMLResponse, include_in_schema=False)
def documentation() -> str:
    return apidocs.page(app.openapi())
