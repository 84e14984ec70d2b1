"""Lineups of real providers that use a scripted server of models."""

from collections.abc import Sequence

from tests.helpers.model_server import Move, Server
from workers.llm.endpoint import Endpoint, TimeLimits
from workers.llm.lineup import Lineup, Patience
from workers.llm.prices import fixed
from workers.llm.provider import Provider, open_openai

SHORT = TimeLimits(connect_s=3, first_token_s=1.5, gap_s=1.5, call_s=6)
LONG = TimeLimits(connect_s=30, first_token_s=60, gap_s=60, call_s=90)
"""For servers that always answer: what a busy machine delays is no misfortune then."""
HASTE = Patience(tries=3, first_pause_s=0.01, longest_pause_s=0.5, in_slot_s=0, wait_s=0)


def provider(
    server: Server, key: str, *moves: Move, name: str = "tiny", times: TimeLimits = SHORT
) -> Provider:
    """A model whose requests `server` answers with `moves`. A million tokens cost 1 USD (input), 4 USD
    (output)."""
    server.scripts[key] = moves
    return open_openai(name, base_url=server.url, key=key, endpoint=Endpoint(times), price=fixed(1.0, 4.0))


def lineup(
    server: Server, moves: Sequence[Move], fallback: Sequence[Move] = (), times: TimeLimits = SHORT
) -> Lineup:
    """A lineup of a model with the key `sk-first`, and a fallback with the key `sk-second`."""
    return Lineup(
        first=provider(server, "sk-first", *moves, times=times),
        fallback=provider(server, "sk-second", *fallback, name="other", times=times) if fallback else None,
        patience=HASTE,
    )
