"""When the app's box has a network, as every agent is told it: `{network}` in the prompts."""

from collections.abc import Mapping

from app.domain.workspace import NetworkMode

TOLD: Mapping[NetworkMode, str] = {
    "none": (
        "The app's box never has a network: nothing can be downloaded, and the app reaches no other service."
    ),
    "install": (
        "The app's box has a network only while the manifest's `install` line runs, to download libraries; "
        "commands, checks and the app itself have none, so the app reaches no other service."
    ),
    "open": (
        "The app's box has a network: the app may ask other services (a weather service, a feed) that need "
        "no account, key or secret, for it has none. When one is slow, away or answers nonsense, the app "
        "says so and goes on."
    ),
}
