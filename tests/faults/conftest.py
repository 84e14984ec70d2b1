"""Fixtures of `tests/runtime` that skip tests where no containers can be made."""

from tests.helpers.boxes import docker_boxes, proxy, reasons

__all__ = ["docker_boxes", "proxy", "reasons"]
