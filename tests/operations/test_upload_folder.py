"""Private places for uploads: counted from when they are made, of one person, for one purpose, and not for ever."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from imeiflow.errors import UsageError
from imeiflow.operations.upload_folder import LIST, UploadFolders, list_path

NOW = datetime(2026, 11, 28, 10, 0, tzinfo=UTC)


@pytest.fixture
def folders(tmp_path):
    return UploadFolders(tmp_path / "uploads")


def test_uploads_that_are_under_way_count(folders):
    def make(_):
        try:
            return folders.make("mia", LIST, NOW)
        except UsageError:
            return None

    with ThreadPoolExecutor(16) as pool:
        made = [one for one in pool.map(make, range(60)) if one is not None]
    assert len(set(made)) == 20
    assert folders.make("ann", LIST, NOW)
    shutil.rmtree(made[0])  # ordered, or given up
    assert folders.make("mia", LIST, NOW)
    with pytest.raises(UsageError, match="20 lists wait already"):
        folders.make("mia", LIST, NOW)


def test_an_upload_is_found_by_whoever_made_it_for_what_they_made_it(folders):
    folder = folders.make("mia", "export of job 1", NOW)
    assert folders.find(folder.name, "mia", "export of job 1") is None  # nothing has come yet
    list_path(folder).write_text("x")
    assert folders.find(folder.name, "mia", "export of job 1") == folder
    for name, owner, purpose in [
        (folder.name, "ann", "export of job 1"),
        (folder.name, "mia", "export of job 2"),
        (folder.name, "mia", LIST),
        ("..", "mia", "export of job 1"),
    ]:
        assert folders.find(name, owner, purpose) is None


def test_a_new_export_takes_the_place_of_the_one_before_and_all_go_after_some_hours(folders, tmp_path):
    made = [folders.make("mia", "export of job 1", NOW) for _ in range(30)]
    assert [one.exists() for one in made] == [False] * 29 + [True]
    later = folders.make("ann", LIST, NOW + timedelta(hours=1))
    folders.drop_older(NOW + timedelta(hours=1))
    assert list((tmp_path / "uploads").iterdir()) == [later]
    folders.drop_all()
    assert not (tmp_path / "uploads").exists()
