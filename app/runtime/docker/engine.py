"""The calls of the engine's API that boxes need, each with a time limit, with the engine's errors as ours."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiodocker
import aiohttp
from aiodocker.networks import DockerNetwork
from aiodocker.stream import Stream
from aiodocker.volumes import DockerVolume
from yarl import URL

from app.runtime.workspace import EngineAway, SandboxUnavailable

CONNECT_S = 5.0
CALL_S = 120.0
"""Seconds for one call. A busy engine is slow to make or remove a container."""

BAD_REQUEST, FORBIDDEN, NOT_FOUND, CONFLICT = 400, 403, 404, 409
KILLED = 128 + signal.SIGKILL
AWAY = (900, 502, 504)
"""Statuses that mean that the engine cannot be reached: aiodocker's own 900, and those of a proxy before the
engine."""


class EngineRefused(SandboxUnavailable):
    """The engine answered with an error; `status` is its HTTP status."""

    def __init__(self, error: aiodocker.DockerError) -> None:
        super().__init__(f"the container engine refuses: {error.message.strip()}")
        self.status = error.status


@dataclass(frozen=True)
class Container:
    """A container as the engine describes it. `state` is the engine's word: created, running, paused, exited,
    dead, …"""

    id: str
    state: str
    labels: Mapping[str, str]
    began: datetime | None = None
    exit_code: int = 0
    out_of_memory: bool = False
    networks: frozenset[str] = frozenset()

    @property
    def end(self) -> str:
        """How it ended, as a clause without a subject."""
        if self.out_of_memory:
            return "ran out of memory"
        return "was killed" if self.exit_code == KILLED else f"ended with exit code {self.exit_code}"

    @property
    def failure(self) -> str:
        """A sentence about how a container failed; empty if it runs or ended with exit code 0."""
        return f"The container {self.end}." if self.state == "exited" and self.exit_code else ""


class Engine:
    """A client of the engine at `host` (`unix://…`, `tcp://…`). It connects at the first call.

    Every call may raise EngineAway or EngineRefused.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self._client: aiodocker.Docker | None = None

    async def version(self) -> str:
        with self._asked() as docker:
            return str((await docker.version()).get("Version", "?"))

    async def has_image(self, image: str) -> bool:
        with self._asked(NOT_FOUND) as docker:
            await docker.images.inspect(image)
            return True
        return False

    async def inspect(self, name: str) -> Container | None:
        with self._asked(NOT_FOUND) as docker:
            said = await docker.containers.container(name).show()
            state = said["State"]
            return Container(
                said["Id"],
                state["Status"],
                said["Config"]["Labels"],
                _moment(state["StartedAt"]),
                state["ExitCode"],
                state["OOMKilled"],
                frozenset(said["NetworkSettings"]["Networks"]),
            )
        return None

    async def containers(self, labels: Mapping[str, str]) -> dict[str, Container]:
        """All containers with these labels, running or not, by name. An empty value matches any value."""
        with self._asked() as docker:
            found = await docker.containers.list(all=True, filters=_filters(labels))
        return {
            item["Names"][0].lstrip("/"): Container(item["Id"], item["State"], item["Labels"])
            for item in found
            if _has_all(item["Labels"], labels)
        }

    async def create(self, name: str, config: Mapping[str, Any]) -> bool:
        """Make a container. False if there is one of this name already."""
        with self._asked(CONFLICT) as docker:
            await docker.containers.create(dict(config), name=name)
            return True
        return False

    async def start(self, name: str) -> None:
        """Start a container. Does nothing if it runs."""
        with self._asked() as docker:
            await docker.containers.container(name).start()

    async def rename(self, name: str, new: str) -> bool:
        """Rename a container. False if there is none called `name`, or there is one called `new`."""
        with self._asked(BAD_REQUEST, NOT_FOUND, CONFLICT) as docker:
            await docker.containers.container(name).rename(new)
            return True
        return False

    async def unpause(self, name: str) -> None:
        """Continue a paused container. Does nothing if it is not paused."""
        with self._asked(CONFLICT) as docker:
            await docker.containers.container(name).unpause()

    async def pause(self, name: str) -> None:
        """Freeze a container's processes. Does nothing if it does not run."""
        with self._asked(NOT_FOUND, CONFLICT) as docker:
            await docker.containers.container(name).pause()

    async def kill(self, name: str) -> None:
        """Send SIGKILL to a container. Does nothing if it does not run or does not exist."""
        with self._asked(NOT_FOUND, CONFLICT) as docker:
            await docker.containers.container(name).kill()

    async def wait(self, name: str) -> None:
        """Return when the container does not run."""
        with self._asked(NOT_FOUND) as docker:
            await docker.containers.container(name).wait()

    async def deaths(self, labels: Mapping[str, str]) -> AsyncIterator[str]:
        """The name of each container with these labels, at the moment when it ends. The iteration ends when
        the engine closes the stream of events."""
        of = {"type": ["container"], "event": ["die"], **_filters(labels)}
        with self._asked() as docker:
            heard = docker.events.subscribe(create_task=False)
            listening = asyncio.create_task(docker.events.run(filters=json.dumps(of)))
            try:
                while (event := await heard.get()) is not None:
                    yield event["Actor"]["Attributes"]["name"]
                await listening
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    async def remove(self, name: str) -> None:
        """Remove a container, running or not. Does nothing if it does not exist or is being removed."""
        with self._asked(NOT_FOUND, CONFLICT) as docker:
            await docker.containers.container(name).delete(force=True, v=True)

    async def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """Make a volume. Does nothing if there is one of this name: that one keeps its labels."""
        with self._asked() as docker:
            await docker.volumes.create({"Name": name, "Labels": dict(labels)})

    async def mark(self, name: str, labels: Mapping[str, str]) -> Mapping[str, str]:
        """Make an empty volume that exists for its labels, and return the labels it has. If several processes
        make it at the same time, the first one's labels stay and all of them get these."""
        await self.create_volume(name, labels)
        return await self.volume(name) or {}

    async def volume(self, name: str) -> Mapping[str, str] | None:
        """The labels of a volume; None if there is no such volume."""
        with self._asked(NOT_FOUND) as docker:
            labels: Mapping[str, str] = (await DockerVolume(docker, name).show())["Labels"] or {}
            return labels
        return None

    async def volumes(self, labels: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
        """The labels of all volumes that have `labels`, by name. An empty value matches any value."""
        with self._asked() as docker:
            found = await docker.volumes.list(filters=_filters(labels))
        volumes = {item["Name"]: item["Labels"] or {} for item in found["Volumes"] or []}
        return {name: its for name, its in volumes.items() if _has_all(its, labels)}

    async def remove_volume(self, name: str) -> None:
        """Remove a volume. EngineRefused while a container uses it; does nothing if it does not exist."""
        with self._asked(NOT_FOUND) as docker:
            await DockerVolume(docker, name).delete()

    async def create_network(self, name: str, labels: Mapping[str, str], options: Mapping[str, str]) -> None:
        """Make a network. Does nothing if there is one of this name."""
        config = {"Name": name, "CheckDuplicate": True, "Labels": dict(labels), "Options": dict(options)}
        with self._asked(CONFLICT) as docker:
            await docker.networks.create(config)

    async def remove_network(self, name: str) -> None:
        """Remove a network. Does nothing if it does not exist or a container is connected to it."""
        with self._asked(FORBIDDEN, NOT_FOUND) as docker:
            await DockerNetwork(docker, name).delete()

    async def connect(self, network: str, name: str) -> None:
        """Connect a container to a network. EngineRefused if it is connected."""
        with self._asked() as docker:
            await DockerNetwork(docker, network).connect({"Container": name})

    async def disconnect(self, network: str, name: str) -> None:
        """Disconnect a container from a network. EngineRefused if it is not connected."""
        with self._asked() as docker:
            await DockerNetwork(docker, network).disconnect({"Container": name, "Force": True})

    async def connections(self, network: str) -> dict[str, str]:
        """The names of the running containers on a network, by the id of each connection (endpoint)."""
        with self._asked(NOT_FOUND) as docker:
            found = (await DockerNetwork(docker, network).show())["Containers"]
            return {each["EndpointID"]: each["Name"] for each in found.values()}
        return {}

    async def run(self, name: str, command: list[str], user: str) -> Stream:
        """Start a process in the container. The result is its stdin and stdout; the caller closes it."""
        with self._asked() as docker:
            process = await docker.containers.container(name).exec(
                command, stdin=True, stderr=False, user=user
            )
            return await process.start().__aenter__()

    async def join(self, name: str) -> Stream:
        """The stdin, stdout and stderr of the container's main process, whether it runs yet or not. Only one
        caller may use them. When that caller closes the stream or ends, the container's stdin ends for
        good."""

        async def where() -> tuple[URL, None, bool]:
            ends = {"stream": 1, "stdin": 1, "stdout": 1, "stderr": 1}
            return URL(f"containers/{name}/attach").with_query(ends), None, False

        with self._asked() as docker:
            return await Stream(docker, where).__aenter__()

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @contextlib.contextmanager
    def _asked(self, *harmless: int) -> Iterator[aiodocker.Docker]:
        """The client. An error whose status is in `harmless` ends the block and is not raised."""
        if self._client is None:
            timeout = aiohttp.ClientTimeout(total=CALL_S, sock_connect=CONNECT_S)
            self._client = aiodocker.Docker(url=self.host, timeout=timeout)
        try:
            yield self._client
        except aiodocker.DockerError as error:
            if error.status in AWAY:
                raise EngineAway(f"the container engine does not answer at {self.host}") from error
            if error.status not in harmless:
                raise EngineRefused(error) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise EngineAway(
                f"the container engine at {self.host} broke off: {error or type(error).__name__}"
            ) from error


def _filters(labels: Mapping[str, str]) -> dict[str, list[str]]:
    return {"label": [f"{key}={value}" if value else key for key, value in labels.items()]}


def _has_all(found: Mapping[str, str] | None, labels: Mapping[str, str]) -> bool:
    """Whether `found` has all of `labels`. Needed because Podman's filter matches volumes that have any of
    them, and what is found may be removed."""
    its = found or {}
    return all(key in its and its[key] == (value or its[key]) for key, value in labels.items())


def _moment(text: str) -> datetime | None:
    """A timestamp of the engine. Nanoseconds are cut; the engine writes the year 1 for "never", which gives
    None."""
    moment = datetime.fromisoformat(text)
    return moment if moment.year > 1 else None
