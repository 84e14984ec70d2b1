"""Where containers can be made, and where not: as for the tests of the runtime itself."""

from tests.runtime.conftest import docker_boxes, proxy, reasons

__all__ = ["docker_boxes", "proxy", "reasons"]
