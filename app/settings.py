"""The settings, read once per process from the environment and `.env`, and passed on as values."""

import secrets
from collections.abc import Mapping
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.database_url import parse, require_files
from app.domain.budget import Limits
from app.domain.preview_origin import DEFAULT_ORIGIN, PreviewOrigin
from app.domain.workspace import NetworkMode

MIN_SECRET_CHARS = 32
MIN_METRICS_TOKEN_CHARS = 16


class BadSettings(Exception):
    """Some settings are not valid. The message names each of them, never a value."""


class Settings(BaseSettings):
    """Field names are the names of the environment's variables in lower case."""

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
    forwarded_allow_ips: str = ""
    """Addresses and networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed; `*` is
    everybody."""
    metrics_token: SecretStr = SecretStr("")
    """Opens /metrics and the details of /readyz to others than this machine, in production."""

    model: str = "rehearsal"
    model_client_relations: str = ""
    model_business_analyst: str = ""
    model_ceo: str = ""
    model_cto: str = ""
    model_secretary: str = ""
    model_project_manager: str = ""
    model_builder: str = ""
    model_fallback: str = ""
    """Is asked when another model cannot be reached."""
    model_strong: str = ""
    """Makes the last attempts at a ticket."""
    model_connect_timeout: float = Field(default=10, gt=0)
    model_first_token_timeout: float = Field(default=120, gt=0)
    model_gap_timeout: float = Field(default=60, gt=0)
    model_call_timeout: float = Field(default=600, gt=0)
    model_patience_s: float = Field(default=600, ge=0)
    """How long a model is waited for that is overloaded, starting or away."""
    model_schema: Literal["native", "tool", "prompted"] = "native"
    """How typed answers are asked for: by a JSON schema, through a tool, or in words."""
    model_stream: bool = True
    model_reasoning: Literal["off", "low", "medium", "high"] | None = None
    """How much models should think before they answer; without it nothing is said of it."""
    model_max_tokens: int | None = Field(default=None, ge=64)
    """The most tokens that an answer may have, with its thoughts; without it each role has its own limit, up
    to 16,000, and there is room for thoughts beside it."""
    model_input_price_usd: float | None = Field(default=None, ge=0)
    model_output_price_usd: float | None = Field(default=None, ge=0)
    """Both prices are for a million tokens of the model at OPENAI_BASE_URL."""
    openai_base_url: str = ""
    openai_api_key: SecretStr = SecretStr("")
    anthropic_base_url: str = ""
    anthropic_api_key: SecretStr = SecretStr("")
    google_base_url: str = ""
    google_api_key: SecretStr = SecretStr("")
    mistral_base_url: str = ""
    mistral_api_key: SecretStr = SecretStr("")
    groq_base_url: str = ""
    groq_api_key: SecretStr = SecretStr("")
    openrouter_base_url: str = ""
    openrouter_api_key: SecretStr = SecretStr("")
    deepseek_base_url: str = ""
    deepseek_api_key: SecretStr = SecretStr("")
    ollama_base_url: str = ""
    ollama_api_key: SecretStr = SecretStr("")
    bedrock_base_url: str = ""
    aws_bearer_token_bedrock: SecretStr = SecretStr("")
    aws_region: str = ""
    job_token_budget: int | None = Field(default=5_000_000, ge=1)
    job_cost_budget_usd: float | None = Field(default=None, gt=0)
    user_day_token_budget: int | None = Field(default=None, ge=1)
    user_day_cost_budget_usd: float | None = Field(default=None, gt=0)
    ticket_max_attempts: int = Field(default=6, ge=1, le=100)
    """The most attempts at a ticket whose failures change. One that repeats its failures ends earlier."""
    rehearsal_pace: float = Field(default=1.0, ge=0)
    """A factor for the pauses of the rehearsal cast; with 0 it answers at once."""

    workspace_runtime: Literal["auto", "docker", "local"] = "auto"
    docker_host: str = ""
    workspace_image: str = "boardroom-workspace"
    workspace_oci_runtime: str = ""
    """The engine's name of another runtime for boxes, such as `runsc`."""
    workspace_network: NetworkMode = "install"
    """When a container has a network: never, during an app's install step, always. Local boxes have none."""
    workspaces_max: int = Field(default=20, ge=1)
    workspace_idle_s: int = Field(default=900, ge=1)
    workspace_pool: int = Field(default=0, ge=0)
    """How many containers are made in advance."""
    data_copy_max_mb: int = Field(default=256, ge=0, le=65_536)
    """The most MiB of an app's data of which a copy is stored in the database."""
    preview_origin: str = DEFAULT_ORIGIN
    lease_s: float = Field(default=10, gt=0)
    sweep_s: float = Field(default=2, gt=0)

    @field_validator("database_url")
    @classmethod
    def _can_be_read(cls, url: str) -> str:
        if url:
            require_files(parse(url))
        return url

    @field_validator("preview_origin")
    @classmethod
    def _names_an_origin_each(cls, template: str) -> str:
        PreviewOrigin(template)
        return template

    @field_validator("forwarded_allow_ips")
    @classmethod
    def _are_addresses(cls, listed: str) -> str:
        """uvicorn would take a mistake for the name of a client, and believe nobody, in silence."""
        entries = [entry.strip() for entry in listed.split(",") if entry.strip()]
        for entry in entries:
            if entry == "*" and len(entries) == 1:
                continue
            try:
                ip_network(entry)
            except ValueError as error:
                raise ValueError(f"must list addresses like 127.0.0.1,10.0.0.0/8: {error}") from None
        return ",".join(entries)

    @field_validator("metrics_token")
    @classmethod
    def _is_hard_to_guess(cls, token: SecretStr) -> SecretStr:
        given = token.get_secret_value()
        if given and (len(given) < MIN_METRICS_TOKEN_CHARS or not given.isascii() or not given.isprintable()):
            raise ValueError(f"must have at least {MIN_METRICS_TOKEN_CHARS} characters, all of ASCII")
        return token

    @model_validator(mode="after")
    def _strong_secret_in_production(self) -> "Settings":
        secret = self.secret_key.get_secret_value()
        if self.environment == "production" and (len(secret) < MIN_SECRET_CHARS or len(set(secret)) < 8):
            raise ValueError(
                f"SECRET_KEY must hold at least {MIN_SECRET_CHARS} varied characters in production; "
                f"for example: {secrets.token_urlsafe(48)}"
            )
        return self

    def of(self, variable: str) -> str:
        """The value of a setting by the name of its variable, a secret one too."""
        value = getattr(self, variable.lower())
        return value.get_secret_value() if isinstance(value, SecretStr) else str(value)

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
    def limits(self) -> Limits:
        return Limits(
            self.job_token_budget,
            self.job_cost_budget_usd,
            self.user_day_token_budget,
            self.user_day_cost_budget_usd,
        )

    @property
    def data_copy_bytes(self) -> int:
        return self.data_copy_max_mb << 20

    @property
    def workspaces_dir(self) -> Path:
        return self.data_dir.absolute() / "workspaces"


def load_settings() -> Settings:
    """The environment's settings. Raises BadSettings."""
    try:
        return Settings()
    except ValidationError as error:
        raise BadSettings("; ".join(map(_in_words, error.errors(include_url=False)))) from None


def _in_words(error: Mapping[str, Any]) -> str:
    name = ".".join(map(str, error["loc"])).upper()
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {message}" if name else message
