"""Reading a list in: whatever a file may hold is kept, row by row, and what could not be sent is not taken."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imeiflow.domain.order import OrderState
from imeiflow.errors import GuardError
from imeiflow.ledger.draft import arrange
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import JobDraft, NewOrder
from tests.ledger.conftest import ACCOUNT, SERVICE, make_imei

S = OrderState
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
CELLS = st.lists(TEXTS, max_size=3).map(tuple)


@st.composite
def draw_rows(draw: st.DrawFn) -> list[NewOrder]:
    rows: list[NewOrder] = []
    for line in range(1, draw(st.integers(1, 9)) + 1):
        columns = draw(st.none() | CELLS)
        kind = draw(st.sampled_from([S.QUEUED, S.INVALID, S.REPEATED]))
        value, imei = draw(st.none() | TEXTS.filter(bool)), make_imei(line)
        if kind is S.INVALID:
            rows.append(NewOrder(line=line, imei=None, state=kind, value=value, flaw="luhn", columns=columns))
        elif kind is S.REPEATED:
            rows.append(NewOrder(line=line, imei=imei, state=kind, value=value, repeated_of=1, columns=columns))
        else:
            repairs = draw(st.none() | st.just("spaces"))
            rows.append(NewOrder(line=line, imei=imei, value=value, repairs=repairs, columns=columns))
    return rows


@given(rows=draw_rows())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_every_row_is_given_back_as_it_was_read_in(ledger: Ledger, rows: list[NewOrder]):
    job = ledger.create_draft(JobDraft(account=ACCOUNT, provider="p", service=SERVICE))
    ledger.add_orders(job, rows)
    names = NewOrder._fields
    kept = [{name: getattr(row, name) for name in names} for row in ledger.order_rows(job)]
    assert kept == [{name: getattr(row, name) for name in names} for row in rows]


def test_what_no_database_takes_is_replaced_and_nothing_beside_it(ledger: Ledger):
    job = ledger.create_draft(JobDraft(account=ACCOUNT, provider="p", service=SERVICE))
    cells = ("a\0b", "\ud800", "\\u0000", "é")
    ledger.add_orders(job, [NewOrder(line=1, imei=make_imei(1), value="x\0", columns=cells)])
    (row,) = ledger.order_rows(job)
    assert (row.value, row.columns) == ("x\ufffd", ("a\ufffdb", "?", "\\u0000", "é"))


def test_a_row_without_an_imei_is_not_taken_to_be_sent():
    rows = [NewOrder(line=1, imei=make_imei(1)), NewOrder(line=7, imei=None)]
    with pytest.raises(GuardError, match="line 7 has no IMEI"):
        arrange(rows, "ledger.db")
