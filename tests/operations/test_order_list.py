"""Finding orders: by IMEI as people write them, by state and job, page after page."""

from __future__ import annotations

import pytest

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import OrderState
from imeiflow.errors import UnknownJobError
from imeiflow.ledger.filter import Filter
from imeiflow.ledger.record import NewOrder
from imeiflow.ledger.search import end_with
from imeiflow.operations.order_list import find_orders, read_wanted
from tests.operations.stand import add_job, answer, make_imei, open_session


@pytest.fixture
def session(tmp_path):
    with open_session(tmp_path) as opened:
        yield opened


def add_orders(session, first, count):
    return add_job(session, [NewOrder(line=n, imei=make_imei(n)) for n in range(first, first + count)])


def test_imeis_are_read_as_people_paste_them_each_once():
    clean, other = make_imei(2), make_imei(3)
    dashed = f"{clean[:2]}-{clean[2:8]}-{clean[8:14]}-{clean[14]}"
    wanted = read_wanted([f"{clean},{dashed};\r\n {other[:14]}\n\n", "12345, nothing"])
    assert list(wanted.imeis) == [clean, other]
    assert wanted.unreadable == ["12345", "nothing"]


def test_orders_come_newest_first_over_more_than_one_page(session):
    add_orders(session, 1, 700)
    newer = add_orders(session, 600, 400)
    found = list(find_orders(session, Filter()))
    assert len(found) == 1100
    assert [order.job for order in found[:400]] == [newer] * 400
    assert found == sorted(found, key=lambda order: -order.id)


def test_a_listing_goes_on_behind_any_order_of_an_earlier_one(session):
    add_orders(session, 1, 600)
    found = list(find_orders(session, Filter()))
    assert list(find_orders(session, Filter(), end_with(Filter(), found[450]))) == found[451:]


def test_an_imei_is_found_in_every_job_that_ordered_it(session):
    jobs = [add_orders(session, 1, 3), add_orders(session, 2, 3)]
    found = find_orders(session, Filter(imeis=[make_imei(2)]))
    assert [order.job for order in found] == jobs[::-1]


def test_state_and_job_are_both_kept_to(session):
    job = add_orders(session, 1, 3)
    other = add_orders(session, 11, 3)
    answer(session, job, {1: OrderState.ACCEPTED, 2: OrderState.REFUSED})
    answer(session, other, {11: OrderState.REFUSED})
    found = list(find_orders(session, Filter(states={OrderState.REFUSED}, jobs=[job])))
    assert [order.imei for order in found] == [make_imei(2)]


def test_an_unknown_job_is_an_error_and_not_an_empty_list(session):
    with pytest.raises(UnknownJobError):
        list(find_orders(session, Filter(jobs=[JobId(5)])))
