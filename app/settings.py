"""The environment's knobs, read once per process and passed on by value."""

import secrets
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MIN_SECRET_CHARS = 32


class BadSettings(Exception):  # noqa: N818
    """The environment does not allow a start; the message names each setting and never its value."""


class Settings(BaseSettings):
    """Names are the environment's, in lower case; `.env` in the working folder is read too."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    environment: Literal["development", "production"] = "development"
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    api_processes: int = Field(default=1, ge=1, le=64)
    workers: int = Field(default=1, ge=0, le=64)
    worker_slots: int = Field(default=4, ge=1, le=256)
    database_url: str = ""
    redis_url: str = ""
    data_dir: Path = Path(".boardroom")
    postgres_bin: Path | None = None
    """The folder of the embedded PostgreSQL's programs, instead of the wheel's."""
    valkey_bin: Path | None = None
    """The embedded Valkey's program, instead of the wheel's."""
    secret_key: SecretStr = SecretStr("")
    registration: Literal["open", "first", "closed"] | None = None
    allow_ws_token_query: bool | None = None
    allow_job_purge: bool | None = None
    cors_origins: str | None = None
    access_token_minutes: int = Field(default=60, ge=10)
    refresh_reuse_seconds: int = Field(default=300, ge=0)

    model: str = "rehearsal"
    rehearsal_pace: float = Field(default=1.0, ge=0)
    """How long the rehearsal cast pretends to think, as a factor; 0 answers at once."""

    workspace_runtime: Literal["auto", "docker", "local"] = "auto"
    docker_host: str = ""
    workspace_image: str = "boardroom-workspace"
    workspace_oci_runtime: str = ""
    """The engine's name of another runtime for boxes, such as `runsc`."""
    workspaces_max: int = Field(default=20, ge=1)
    workspace_idle_s: int = Field(default=900, ge=1)
    preview_origin: str = "http://{token}.preview.localhost:{port}"
    lease_s: float = Field(default=10, gt=0)
    sweep_s: float = Field(default=2, gt=0)

    @model_validator(mode="after")
    def _strong_secret_in_production(self) -> "Settings":
        secret = self.secret_key.get_secret_value()
        if self.environment == "production" and (len(secret) < MIN_SECRET_CHARS or len(set(secret)) < 8):
            raise ValueError(
                f"SECRET_KEY must hold at least {MIN_SECRET_CHARS} varied characters in production; "
                f"for example: {secrets.token_urlsafe(48)}"
            )
        return self

    @property
    def production(self) -> bool:
        return self.environment == "production"

    @property
    def may_register(self) -> Literal["open", "first", "closed"]:
        return self.registration or ("first" if self.production else "open")

    @property
    def ws_token_query(self) -> bool:
        return not self.production if self.allow_ws_token_query is None else self.allow_ws_token_query

    @property
    def job_purge(self) -> bool:
        return not self.production if self.allow_job_purge is None else self.allow_job_purge

    @cached_property
    def origins(self) -> frozenset[str] | None:
        """The listed origins; None means any (the default in development)."""
        if self.cors_origins is None:
            return frozenset() if self.production else None
        return frozenset(item.strip().rstrip("/") for item in self.cors_origins.split(",") if item.strip())

    @property
    def workspaces_dir(self) -> Path:
        return self.data_dir.absolute() / "workspaces"


def load_settings() -> Settings:
    """The environment's settings. Raises BadSettings."""
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, item['loc'])).upper() or 'Settings'}: {item['msg']}"
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise BadSettings("; ".join(lines)) from None
