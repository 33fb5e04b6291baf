"""What is left behind of an error that nobody expected: a trace in a file of the user's own, with keys blanked.

Relies on as little as it can: what failed may be what it would have used.
"""

from __future__ import annotations

import os
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

#: Shorter texts are no keys, and blanking them would destroy the trace.
_SHORTEST_KEY = 6
_LONGEST = 200


def report_crash(error: BaseException) -> str:
    """Write the trace where only the user may read it, and say in one line what happened and where it is."""
    directory, keys = _find_place()
    place = directory / f"crash-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}.log"
    try:
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(_blank("".join(traceback.format_exception(error)), keys))
    except OSError as problem:
        written = f"its trace could not be written ({problem.strerror})"
    else:
        written = f"its trace is in {place}"
    told = _blank(" ".join(str(error).split()), keys)[:_LONGEST]
    return f"imeiflow: an error of ours: {type(error).__name__}: {told}; {written}. What was done is in the ledger."


def _find_place() -> tuple[Path, list[str]]:
    keys = [value for name, value in os.environ.items() if name.endswith("_KEY")]
    try:
        from imeiflow.operations.configuration import load_configuration, open_log_directory

        configuration = load_configuration()
        return open_log_directory(configuration.home), [*keys, *configuration.secrets()]
    except Exception:  # noqa: BLE001 - whatever is broken, the trace has to go somewhere
        return Path(tempfile.gettempdir()), keys


def _blank(text: str, keys: list[str]) -> str:
    try:
        from imeiflow.providers.secret import Secret
    except Exception:  # noqa: BLE001
        for key in keys:
            text = text.replace(key, "***") if len(key) >= _SHORTEST_KEY else text
        return text
    for key in keys:
        text = Secret(key).blank_text(text)
    return text
