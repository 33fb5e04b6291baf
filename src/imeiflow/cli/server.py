"""Whether a command asks a server instead of the ledger here, and which: `--server`, or IMEIFLOW_SERVER."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from imeiflow.cli.program import SERVER_META
from imeiflow.errors import ConfigurationError, UsageError
from imeiflow.operations.configuration import SERVER_VARIABLE

if TYPE_CHECKING:
    from imeiflow.remote.client import Client


def name_server() -> str | None:
    """Give the server that was named; None where the ledger here is meant."""
    context = click.get_current_context(silent=True)
    named = None if context is None else context.find_root().meta.get(SERVER_META)
    return named if named is not None else os.environ.get(SERVER_VARIABLE, "").strip() or None


def find_client() -> Client | None:
    """Give what asks the server that was named; None where the ledger here is meant. Raises ConfigurationError."""
    named = name_server()
    if named is None:
        return None
    from imeiflow.remote.address import read_server
    from imeiflow.remote.client import Client

    context = click.get_current_context(silent=True)
    is_typed = context is not None and SERVER_META in context.find_root().meta
    return Client(read_server(named, os.environ, setting="--server" if is_typed else SERVER_VARIABLE))


def require_ledger() -> None:
    """Raise UsageError where a server was named, for a command that cannot be asked of one."""
    named = name_server()
    if named is None:
        return
    context = click.get_current_context(silent=True)
    command = context.command_path if context is not None else "this command"
    raise UsageError(
        problem=f"`{command}` works on the ledger of this machine, and cannot be asked of {named}",
        remedy=f"Run it where the server runs; or leave --server out and unset {SERVER_VARIABLE} for the ledger here.",
    )


def name_only_account(client: Client) -> str:
    """Name the only account of a server. Raises ConfigurationError where there are several, or none."""
    from imeiflow.operations.account import PLANNED

    kinds = {str(one["name"]): one["provider"] for one in client.get("/accounts")["accounts"]}
    names = [name for name, provider in kinds.items() if provider not in PLANNED] or list(kinds)
    if len(names) == 1:
        return names[0]
    if not names:
        raise ConfigurationError(setting="accounts", problem=f"none is configured at {client.server.url}")
    told = ", ".join(f"--account {name}" for name in names)
    raise ConfigurationError(
        setting="--account", problem=f"there are {len(names)} accounts", remedy=f"Say which: {told}."
    )
