"""Lists that wait to be ordered: how long one may be, and what is left of one that is too long."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from imeiflow.domain.ident import ServiceId
from imeiflow.errors import InputError
from imeiflow.operations.preparation import Preparations, Stage
from imeiflow.operations.statement import read_statement
from imeiflow.operations.submit import Request
from imeiflow.operations.upload_folder import list_path
from tests.operations.stand import make_imei, open_session


def write_rows(path: Path, count: int) -> None:
    path.write_text("IMEI,Status\n" + "".join(f"{make_imei(number)},Pending\n" for number in range(count)))


def test_a_list_of_too_many_rows_is_given_up_and_nothing_of_it_is_kept(tmp_path):
    changed = threading.Event()
    with open_session(tmp_path / "home") as session:
        preparations = Preparations(session, lambda _: changed.set(), most_rows=100)
        folder = preparations.make_folder("mia")
        write_rows(list_path(folder), 101)
        request = Request(source=list_path(folder), source_name="long.csv", service=ServiceId("1"))
        begun = preparations.begin(folder, "mia", request)
        while begun.stage is Stage.READING:
            assert changed.wait(30)
            changed.clear()
        assert begun.stage is Stage.FAILED
        assert str(begun.error) == "it has over 100 rows"
        assert begun.error is not None
        assert begun.error.remedy == "Part it into several lists."
        assert session.ledger.discard_stale_drafts(session.clock.now()) == 0
        preparations.close()
        assert not folder.exists()


def test_an_export_of_too_many_rows_is_not_held_in_memory(tmp_path):
    path = tmp_path / "orders.csv"
    write_rows(path, 11)
    assert read_statement(path, currency="USD", most_rows=11).total == 11
    with pytest.raises(InputError, match="over 10 rows") as error:
        read_statement(path, currency="USD", most_rows=10)
    assert "shorter time" in error.value.remedy
