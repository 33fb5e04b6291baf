"""One owner a lane on one machine: a lock that dies with its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from imeiflow.jobs.lock import LaneLock, describe_process

HOLD = """
import sys
from pathlib import Path
from imeiflow.jobs.lock import LaneLock
lock = LaneLock(Path(sys.argv[1]), "lane")
print(lock.acquire(), flush=True)
sys.stdin.read()
"""


def test_only_one_holds_it(tmp_path: Path):
    first, second = LaneLock(tmp_path, "lane"), LaneLock(tmp_path, "lane")
    assert first.is_free()
    assert first.acquire()
    assert first.acquire()
    assert first.is_held
    assert not second.acquire()
    assert not second.is_held
    assert not second.is_free()
    first.release()
    assert second.is_free()
    assert second.acquire()


def test_different_lanes_do_not_know_each_other(tmp_path: Path):
    first, second = LaneLock(tmp_path, "one account"), LaneLock(tmp_path, "another account")
    assert first.acquire()
    assert second.acquire()


def test_asking_whether_it_is_free_does_not_take_it(tmp_path: Path):
    first, second = LaneLock(tmp_path, "lane"), LaneLock(tmp_path, "lane")
    assert first.is_free()
    assert not first.is_held
    assert second.acquire()


def test_it_is_free_once_its_process_was_killed(tmp_path: Path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        lock = LaneLock(tmp_path, "lane")
        assert not lock.acquire()
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        assert lock.acquire()


def test_its_files_are_for_the_owner_alone_and_name_no_account(tmp_path: Path):
    directory = tmp_path / "lanes"
    lock = LaneLock(directory, "/home/somebody/ledger.db\nsecret-account")
    assert lock.acquire()
    assert directory.stat().st_mode & 0o777 == 0o700
    [file] = directory.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert "account" not in file.name
    assert "account" not in file.read_text()


def test_a_process_is_described_without_its_arguments():
    words = describe_process()
    assert f"process {os.getpid()} " in words
    assert "/" not in words
