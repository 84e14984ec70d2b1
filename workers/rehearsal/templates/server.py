"""Starts the app: `python3 server.py`. PORT, HOST and DATABASE may be set in the environment."""

import os

import web
from collection import TABLE, TITLE
from store import Store

ROUTES = [
    *web.ROUTES,
]


def main():
    address = (os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8000")))
    store = Store(os.environ.get("DATABASE", f"data/{TABLE}.db"))
    with web.Server(address, ROUTES, store) as server:
        print(f"{TITLE} is at http://{address[0]}:{server.server_address[1]}/", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("Goodbye.")


if __name__ == "__main__":
    main()
