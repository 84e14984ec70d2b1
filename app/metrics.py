"""All metrics. Where `metrics_folder.VARIABLE` is set, as the supervisor does, each process answers with the
metrics of all of them, workers included."""

import os

from app import metrics_folder

metrics_folder.reserve_room()  # what is imported next looks at the environment

from prometheus_client import (  # noqa: E402
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector  # noqa: E402

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

requests = Counter("boardroom_requests", "Answered HTTP requests.", ["method", "route", "status"])
request_seconds = Histogram("boardroom_request_seconds", "Time to an answer.", ["route"], buckets=SECONDS)

preview_requests = Counter("boardroom_preview_requests", "Requests and sockets to apps.", ["status"])

sockets = Gauge("boardroom_sockets", "Open sockets.", multiprocess_mode="livesum")
sockets_closed = Counter("boardroom_sockets_closed", "Sockets that ended, whoever closed them.", ["code"])
events_delivered = Counter("boardroom_events_delivered", "Events sent to sockets, live and replayed.")

runs_claimed = Counter("boardroom_runs_claimed", "Runs taken by a worker.")
runs_ended = Counter("boardroom_runs_ended", "Runs that left a worker.", ["outcome"])
leases_lost = Counter("boardroom_leases_lost", "Runs that were taken away from a working worker.")

model_calls = Counter("boardroom_model_calls", "Calls to a model.", ["model", "outcome"])
model_tokens = Counter("boardroom_model_tokens", "Tokens in and out.", ["model", "direction"])
model_seconds = Histogram("boardroom_model_seconds", "Time of a model call.", ["model"], buckets=SECONDS)

checks = Counter("boardroom_checks", "Checks run by the service.", ["kind", "passed"])


def render() -> bytes:
    """The metrics of all processes that share them with this one, in Prometheus' text format."""
    if metrics_folder.VARIABLE not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
