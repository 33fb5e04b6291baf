"""Where the program's own log goes: a file of the user's own, never the terminal, never with a key in it."""

from __future__ import annotations

import logging
import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final, TextIO

import structlog

from imeiflow.operations.configuration import Configuration, open_log_directory
from imeiflow.providers.secret import Secret

LOG_NAME: Final = "imeiflow.log"
_LARGEST: Final = 5_000_000


def start_log(configuration: Configuration, stream: TextIO | None = None) -> None:
    """Let this process log to `stream`, or to the log file under the home; where that cannot be, to nothing."""
    if stream is None:
        try:
            stream = _open_log(open_log_directory(configuration.home) / LOG_NAME)
        except OSError:
            stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - as long as the process
    secrets = [Secret(key) for key in configuration.secrets()]

    def blank(_: object, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for name, value in entry.items():
            if isinstance(value, str):
                entry[name] = _blank(value, secrets)
        return entry

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            blank,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    _catch_library_logs(stream, secrets)


def _open_log(path: Path) -> TextIO:
    """Open the log to be added to, for its owner alone; a large one makes room first."""
    if path.exists() and path.stat().st_size > _LARGEST:
        path.replace(path.with_suffix(".log.1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return os.fdopen(descriptor, "a", encoding="utf-8", buffering=1)


def _catch_library_logs(stream: TextIO, secrets: list[Secret]) -> None:
    """Let what libraries log (a task whose error nobody took, a connection lost) stand in the log as well."""

    class Blanking(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return _blank(super().format(record), secrets)

    handler = logging.StreamHandler(stream)
    handler.setFormatter(Blanking("timestamp=%(asctime)s level=%(levelname)s logger=%(name)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.raiseExceptions = False  # a log that cannot be written is no reason to write on the terminal


def _blank(text: str, secrets: list[Secret]) -> str:
    for secret in secrets:
        text = secret.blank_text(text)
    return text
