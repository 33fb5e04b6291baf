"""Which providers are installed: entry points of the group `imeiflow.providers`. Opens no connection."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from imeiflow.errors import ConfigurationError
from imeiflow.providers.contract import Provider

GROUP = "imeiflow.providers"


def find_provider(name: str) -> Provider:
    """Find the provider called `name`, such as `gsm-fusion`.

    Raises ConfigurationError where none is installed by that name, or where it cannot be loaded.
    """
    entries = _list_entries()
    entry = entries.get(name)
    if entry is None:
        known = ", ".join(sorted(entries)) or "none"
        raise ConfigurationError(
            setting="provider", problem=f"there is no provider {name!r}", remedy=f"Providers installed here: {known}."
        )
    try:
        return cast("Provider", entry.load())
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            setting="provider",
            problem=f"{name} cannot be loaded from {entry.value}: {error}",
            remedy="Install its package again.",
        ) from error


def list_providers() -> tuple[str, ...]:
    """List the names of the installed providers, sorted."""
    return tuple(sorted(_list_entries()))


@cache
def _list_entries() -> dict[str, EntryPoint]:
    """Look through all that is installed, once: it takes as long as a small command."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}
