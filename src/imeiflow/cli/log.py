"""Where the program's own log goes: a file of the user's own, never the terminal, never with a key in it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Final, TextIO

import structlog

from imeiflow.operations.configuration import Configuration, open_log_directory
from imeiflow.providers.secret import Secret

LOG_NAME: Final = "imeiflow.log"
_LARGEST: Final = 5_000_000


@contextmanager
def keep_log(configuration: Configuration, stream: TextIO | None = None) -> Iterator[None]:
    """Let this process log to `stream`, or to the log file under the home; where that cannot be, to nothing."""
    own = _open_log(configuration) if stream is None else None
    secrets = [Secret(key) for key in configuration.secrets()]
    _catch_our_logs(stream or own, secrets)
    handler = _catch_library_logs(stream or own, secrets)
    raises, logging.raiseExceptions = logging.raiseExceptions, False  # it would be told on the terminal
    try:
        yield
    finally:
        logging.raiseExceptions = raises
        structlog.reset_defaults()
        logging.getLogger().removeHandler(handler)
        if own is not None:
            own.close()


def _catch_our_logs(stream: TextIO | None, secrets: list[Secret]) -> None:
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


def _open_log(configuration: Configuration) -> TextIO:
    """Open the log to be added to, for its owner alone; a large one makes room first."""
    try:
        path = open_log_directory(configuration.home) / LOG_NAME
        if path.exists() and path.stat().st_size > _LARGEST:
            path.replace(path.with_suffix(".log.1"))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError:
        descriptor = os.open(os.devnull, os.O_WRONLY)
    return os.fdopen(descriptor, "a", encoding="utf-8", buffering=1)


def _catch_library_logs(stream: TextIO | None, secrets: list[Secret]) -> logging.Handler:
    """Let what libraries log (a task whose error nobody took, a connection lost) stand in the log as well."""

    class Blanking(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return _blank(super().format(record), secrets)

    handler = logging.StreamHandler(stream)
    handler.setFormatter(Blanking("timestamp=%(asctime)s level=%(levelname)s logger=%(name)s %(message)s"))
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)
    return handler


def _blank(text: str, secrets: list[Secret]) -> str:
    for secret in secrets:
        text = secret.blank_text(text)
    return text
