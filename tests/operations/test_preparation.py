"""Lists that wait to be ordered: how long one may be, and what is left of one that is too long."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from imeiflow.domain.ident import ServiceId
from imeiflow.errors import InputError
from imeiflow.operations.preparation import Preparation, Preparations, Stage
from imeiflow.operations.session import Session
from imeiflow.operations.statement import read_statement
from imeiflow.operations.submit import Proposal, Request
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


class Halting(Preparations):
    """Waits in its first reading, where that recalls a column, until it may go on."""

    def __init__(self, session: Session, wanted: Request) -> None:
        super().__init__(session)
        self.recalls, self.may_go_on = threading.Event(), threading.Event()
        self._wanted = wanted

    def _recall(self, one: Preparation, request: Request, proposal: Proposal) -> Request | None:  # noqa: ARG002
        if self.recalls.is_set():
            return None
        self.recalls.set()
        assert self.may_go_on.wait(30)
        return replace(self._wanted, column="B")


def test_a_list_that_is_changed_while_its_first_reading_recalls_a_column_is_read_as_it_was_changed(tmp_path):
    source = tmp_path / "phones.csv"
    source.write_text("A,B\n" + "".join(f"{make_imei(n)},{make_imei(n + 50)}\n" for n in range(3)))
    wanted = Request(source=source, source_name="phones.csv", service=ServiceId("1"))
    with open_session(tmp_path / "home") as session:
        preparations = Halting(session, wanted)
        begun = preparations.begin(preparations.make_folder("mia"), "mia", wanted, recalls=True)
        assert preparations.recalls.wait(30)
        others = threading.Event()
        preparations._pool.submit(others.wait, 30)  # the other reader has somebody's list: what was changed waits
        preparations.change(begun, service=ServiceId("2"), account=None, column=None, again=False)
        preparations.may_go_on.set()
        preparations._pool.submit(lambda: None).result(30)  # behind both readings of this one
        others.set()
        preparations._pool.shutdown(wait=True)
        assert begun.stage is Stage.READY, begun.error
        assert begun.proposal is not None
        assert (begun.proposal.service, begun.request.service, begun.is_recalled) == ("2", "2", False)
        preparations.close()
