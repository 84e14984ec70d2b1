"""The files in static/, under /static/."""

from pathlib import Path

from web import Problem, Response

FOLDER = Path(__file__).parent / "static"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def static(request, name):
    path = FOLDER / name
    if path.suffix not in TYPES or not path.is_file():
        raise Problem(404, "There is no such file.")
    return Response(path.read_bytes(), content_type=TYPES[path.suffix], headers={"Cache-Control": "no-cache"})


ROUTES = [("GET", r"/static/([a-z0-9-]+\.[a-z]+)", static)]
