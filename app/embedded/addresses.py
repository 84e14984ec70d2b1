"""The addresses of the databases: those that are set, else those of the service that runs in DATA_DIR."""

from app.embedded.datadir import DataDir
from app.embedded.errors import NothingRuns
from app.settings import Settings


def addressed(settings: Settings) -> Settings:
    """The settings with addresses, if some are set or a service runs here."""
    running = DataDir(settings.data_dir).running() if settings.data_dir.is_dir() else None
    if running is None:
        return settings
    database_url = settings.database_url or running.database_url
    redis_url = settings.redis_url or running.redis_url
    return settings.model_copy(update={"database_url": database_url, "redis_url": redis_url})


def with_addresses(settings: Settings) -> Settings:
    """Like `addressed`. Raises NothingRuns if there are no addresses."""
    settings = addressed(settings)
    if not settings.database_url or not settings.redis_url:
        raise NothingRuns(
            f"Nothing runs in {settings.data_dir.absolute()}: start `boardroom up` first, "
            "or set DATABASE_URL and REDIS_URL."
        )
    return settings
