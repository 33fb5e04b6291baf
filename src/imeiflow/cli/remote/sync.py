"""`imeiflow sync --server`: a server asks the provider; this terminal shows how far it is. Leaving changes nothing."""

from __future__ import annotations

from imeiflow.cli.output import print_json, say, tell
from imeiflow.cli.watching import open_sync_display, tell_synced
from imeiflow.domain.ident import JobId
from imeiflow.operations.sync import Synced
from imeiflow.remote.client import Client
from imeiflow.remote.sync import RemoteSync


def sync_remotely(client: Client, job: JobId | None, *, watches: bool, is_json: bool) -> int:
    """Have statuses fetched at a server; report, and give the exit status."""
    synced = follow_statuses(client, job, watches=watches)
    tell(tell_synced(synced), is_aside=is_json)
    if is_json:
        print_json(synced.as_dict())
    return synced.exit_code


def follow_statuses(client: Client, job: JobId | None, *, watches: bool) -> Synced:
    """Have statuses fetched, with the progress on standard error; report nothing."""
    remote = RemoteSync(client, job, watches=watches)
    display = open_sync_display(watches=watches)
    try:
        synced = remote.run(display.show, on_trouble=say)
    finally:
        display.close()
    if synced.was_interrupted and synced.tally.open:
        say(f"{client.server.url} goes on asking; `imeiflow sync` looks again.")
    return synced
