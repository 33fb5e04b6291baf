"""The program's own log: in a private file, without keys, and never on the terminal."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import logging
import os
from pathlib import Path

import structlog

from imeiflow.cli.log import LOG_NAME, keep_log
from tests.operations.stand import make_configuration


def test_what_is_logged_stands_in_a_private_file_and_not_on_the_terminal(tmp_path: Path, capfd):
    with keep_log(make_configuration(tmp_path)):
        structlog.get_logger("test").warning("pausing", job=7, reason="Credit has been finished!")
        logging.getLogger("library").error("a connection was lost")
    path = tmp_path / "log" / LOG_NAME
    text = path.read_text(encoding="utf-8")
    assert 'level=warning event=pausing job=7 reason="Credit has been finished!"' in text
    assert "a connection was lost" in text
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert capfd.readouterr() == ("", "")


def test_no_key_is_logged_whoever_logs_it(tmp_path: Path):
    stream = io.StringIO()
    with keep_log(make_configuration(tmp_path, key="secret-key-1234"), stream):
        structlog.get_logger("test").warning("call", url="https://shop.example/?apiKey=secret-key-1234")
        logging.getLogger("library").error("sent %s", "secret-key-1234")
    assert "secret-key-1234" not in stream.getvalue()
    assert stream.getvalue().count("***") == 2


def test_an_error_that_nobody_took_from_a_task_stands_in_the_log_and_not_on_the_terminal(tmp_path: Path, capfd):
    stream = io.StringIO()

    async def main() -> None:
        asyncio.get_running_loop().call_exception_handler({"message": "Task exception was never retrieved"})

    with keep_log(make_configuration(tmp_path), stream):
        asyncio.run(main())
    assert "Task exception was never retrieved" in stream.getvalue()
    assert capfd.readouterr().err == ""


def test_what_a_thread_logs_after_the_end_stands_nowhere_and_least_of_all_on_the_terminal(tmp_path: Path, capfd):
    with keep_log(make_configuration(tmp_path)):
        log = structlog.get_logger("test")
        log.warning("in time")
    log.warning("late")
    structlog.get_logger("other").warning("late")
    assert "late" not in (tmp_path / "log" / LOG_NAME).read_text(encoding="utf-8")
    assert capfd.readouterr() == ("", "")


def test_a_large_log_makes_room(tmp_path: Path):
    path = tmp_path / "log" / LOG_NAME
    path.parent.mkdir()
    path.write_text("x" * 5_000_001, encoding="utf-8")
    with keep_log(make_configuration(tmp_path)):
        structlog.get_logger("test").warning("anew")
    assert path.stat().st_size < 1000
    assert path.with_suffix(".log.1").stat().st_size == 5_000_001


def test_a_home_that_cannot_be_written_is_no_reason_to_stop(tmp_path: Path):
    (tmp_path / "log").touch()
    with keep_log(make_configuration(tmp_path)):
        structlog.get_logger("test").warning("nowhere")
    assert (tmp_path / "log").read_bytes() == b""


def test_a_log_that_grows_makes_room_while_it_is_kept(tmp_path: Path):
    path = tmp_path / "log" / LOG_NAME
    with keep_log(make_configuration(tmp_path)):
        for _ in range(7):
            structlog.get_logger("test").warning("long", text="x" * 1_000_000)
    assert path.stat().st_size < 5_000_000 < path.with_suffix(".log.1").stat().st_size


def test_json_is_one_object_a_line_whoever_logs_and_whatever_is_said(tmp_path: Path):
    stream = io.StringIO()
    with keep_log(make_configuration(tmp_path, key="secret-key-1234"), stream, is_json=True):
        with structlog.contextvars.bound_contextvars(request="abc"):
            structlog.get_logger("test").info("call", text="a\nline event=forged secret-key-1234", attempt=None)
        logging.getLogger("library").error("sent\n%s", "secret-key-1234")
    ours, theirs = map(json.loads, stream.getvalue().splitlines())
    assert (ours["event"], ours["request"], ours["level"]) == ("call", "abc", "info")
    assert ours["text"] == "a\nline event=forged ***"
    assert "attempt" not in ours
    assert theirs["event"] == "sent\n***"
    assert theirs["level"] == "error"


def test_a_line_of_the_log_cannot_be_forged(tmp_path: Path):
    stream = io.StringIO()
    with keep_log(make_configuration(tmp_path), stream):
        structlog.get_logger("test").warning("sign_in", name="mia\nlevel=info event=signed_in")
    assert len(stream.getvalue().splitlines()) == 1


class FullStream(io.StringIO):
    """Leads to a disk without room."""

    is_full = True

    def write(self, text: str) -> int:
        if self.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(text)


def test_a_line_that_cannot_be_written_stops_nobody_and_later_ones_are(tmp_path: Path, capfd):
    stream = FullStream()
    with keep_log(make_configuration(tmp_path), stream):
        structlog.get_logger("test").warning("lost")
        logging.getLogger("library").error("lost as well")
        stream.is_full = False
        structlog.get_logger("test").warning("there is room again")
    assert "there is room again" in stream.getvalue()
    assert "lost" not in stream.getvalue()
    assert capfd.readouterr() == ("", "")


def test_a_log_on_a_full_disk_is_no_reason_to_stop(tmp_path: Path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / LOG_NAME).symlink_to("/dev/full")
    with keep_log(make_configuration(tmp_path)):
        structlog.get_logger("test").warning("nowhere")
