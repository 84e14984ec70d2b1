"""Fixtures of `tests/runtime` that skip tests where no containers can be made."""

from tests.runtime.conftest import docker_boxes, proxy, reasons

__all__ = ["docker_boxes", "proxy", "reasons"]
