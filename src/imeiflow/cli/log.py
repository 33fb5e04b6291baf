"""Where the program's own log goes: a file of the user's own, never the terminal, never with a key in it."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TextIO, cast

from imeiflow.operations.configuration import Configuration, open_log_directory
from imeiflow.providers.secret import Secret

LOG_NAME: Final = "imeiflow.log"
_LARGEST: Final = 5_000_000


@contextmanager
def keep_log(
    configuration: Configuration, stream: TextIO | None = None, *, is_json: bool = False, has_own: bool = True
) -> Iterator[None]:
    """Let this process log to `stream`, or to the log file under the home; where that cannot be, to nothing.

    No line that cannot be written stops whoever logs it: a disk that is full is free again some day.
    What is logged afterwards, by a thread that nobody waits for, goes nowhere.
    Without `has_own` only what libraries log is caught: for commands that import no module of ours that logs.
    """
    secrets = [Secret(key) for key in configuration.secrets()]
    with _open_log(configuration) if stream is None else nullcontext(stream) as place:
        forgiving = cast("TextIO", _Forgiving(place))
        if has_own:
            _catch_our_logs(forgiving, secrets, is_json=is_json)
        handler = _catch_library_logs(forgiving, secrets, is_json=is_json)
        raises, logging.raiseExceptions = logging.raiseExceptions, False  # it would be told on the terminal
        try:
            yield
        finally:
            logging.raiseExceptions = raises
            if has_own:
                _drop_our_logs()
            logging.getLogger().removeHandler(handler)


def _catch_our_logs(stream: TextIO, secrets: list[Secret], *, is_json: bool) -> None:
    import structlog

    def blank(_: object, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for name, value in entry.items():
            if isinstance(value, str):
                entry[name] = _blank(value, secrets)
        return entry

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            blank,
            _drop_nothings,
            structlog.processors.JSONRenderer(ensure_ascii=True, default=str)
            if is_json
            else structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )


def _drop_our_logs() -> None:
    import structlog

    def drop(*_: object) -> str:
        raise structlog.DropEvent

    structlog.configure(processors=[drop])  # by itself it writes on standard output


def _drop_nothings(_: object, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: value for name, value in entry.items() if value is not None and value != []}


class _Forgiving(io.TextIOBase):
    """Writes to another stream what that takes; the rest is lost."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Add text, if that can be."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Hand on what was added, if that can be."""
        with suppress(OSError):
            self._stream.flush()


class _RollingLog(io.TextIOBase):
    """A file for its owner alone; whenever it has grown large it makes room, and keeps the one before. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file = self._open()
        self._size = os.fstat(self._file.fileno()).st_size

    def write(self, text: str) -> int:
        """Add text."""
        with self._lock:
            self._size += len(text)
            if self._size > _LARGEST:
                self._file.close()
                self._file = self._open()
                self._size = os.fstat(self._file.fileno()).st_size
            return self._file.write(text)

    def flush(self) -> None:
        """Do nothing: each line is written at once."""

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            self._file.close()
        super().close()

    def _open(self) -> TextIO:
        try:
            if self._path.exists() and self._path.stat().st_size > _LARGEST:
                self._path.replace(self._path.with_suffix(".log.1"))
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError:
            descriptor = os.open(os.devnull, os.O_WRONLY)
        return os.fdopen(descriptor, "a", encoding="utf-8", buffering=1)


def _open_log(configuration: Configuration) -> TextIO:
    """Open the log to be added to; where that cannot be, nothing is kept."""
    try:
        path = open_log_directory(configuration.home) / LOG_NAME
    except OSError:
        path = Path(os.devnull)
    return cast("TextIO", _RollingLog(path))


def _catch_library_logs(stream: TextIO, secrets: list[Secret], *, is_json: bool) -> logging.Handler:
    """Let what libraries log (a task whose error nobody took, a connection lost) stand in the log as well."""

    class Blanking(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            text = _blank(super().format(record), secrets)
            if not is_json:
                return text
            level = record.levelname.lower()
            at = datetime.fromtimestamp(record.created, UTC).isoformat()
            return json.dumps({"event": text, "logger": record.name, "level": level, "timestamp": at})

    handler = logging.StreamHandler(stream)
    plain = "timestamp=%(asctime)s level=%(levelname)s logger=%(name)s %(message)s"
    handler.setFormatter(Blanking("%(message)s" if is_json else plain))
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)
    return handler


def _blank(text: str, secrets: list[Secret]) -> str:
    for secret in secrets:
        text = secret.blank_text(text)
    return text
