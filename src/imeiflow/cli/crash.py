"""What is left behind of an error that nobody expected: a trace in a file of the user's own, with keys blanked."""

from __future__ import annotations

import os
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from imeiflow.errors import ImeiflowError
from imeiflow.operations.configuration import load_configuration
from imeiflow.operations.detachment import open_log_directory
from imeiflow.providers.secret import Secret


def report_crash(error: BaseException) -> str:
    """Write the trace where only the user may read it, and say in one line what happened and where it is."""
    directory, keys = _find_place()
    name = f"crash-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}.log"
    place = directory / name
    try:
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(_blank("".join(traceback.format_exception(error)), keys))
    except OSError as problem:
        written = f"its trace could not be written ({problem.strerror})"
    else:
        written = f"its trace is in {place}"
    told = _blank(" ".join(str(error).split()), keys)[:200]
    return f"imeiflow: an error of ours: {type(error).__name__}: {told}; {written}. The ledger keeps all that was done."


def _find_place() -> tuple[Path, list[str]]:
    keys = [value for name, value in os.environ.items() if name.endswith("_KEY")]
    try:
        configuration = load_configuration()
        return open_log_directory(configuration.home), [*keys, *configuration.secrets()]
    except (ImeiflowError, OSError):
        return Path(tempfile.gettempdir()), keys


def _blank(text: str, keys: list[str]) -> str:
    for key in keys:
        text = Secret(key).blank_text(text)
    return text
