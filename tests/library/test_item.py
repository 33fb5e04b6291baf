"""Files and server orders from a program."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from imeiflow import AsyncClient, Client, JobState, OrderState
from imeiflow.errors import UsageError
from imeiflow.operations.admission import WaitingItemError
from imeiflow.operations.item_order import UnreadableFileError
from imeiflow.operations.submit import UnknownPriceError, UnknownServiceError

FIELDS = [{"email_951": "a@example.com", "quantity_951": 2}, {"email_951": "b@example.com", "quantity_951": 1}]


def test_files_are_ordered_by_their_path_or_by_name_and_content(open_shop, tmp_path: Path):
    shop, path = open_shop(), tmp_path / "phone.ask"
    path.write_bytes(b"request 1")
    with Client() as client:
        report = client.order_files([path, ("second.ask", b"request 2")], 902, name="Tuesday's requests")
        assert (report.state, report.counts.accepted, str(report.spent)) == (JobState.FINISHED, 2, "$7.50")
        assert client.jobs()[0].name == "Tuesday's requests"
        rows = list(client.rows(report.job))
        assert [row.value for row in rows] == ["phone.ask", "second.ask"]
        assert {row.reference for row in rows} == {entry.reference for entry in shop.book()}
        more = client.order_files([("renamed.ask", b"request 2"), ("third.ask", b"request 3")], 902)
        assert (more.counts.total, more.counts.accepted) == (1, 1)  # the content of the first is known
        with pytest.raises(UsageError, match="ordered before"):
            client.order_files(str(path), "902")
        assert client.order_files(("again.ask", b"request 1"), "902", reorder=True).counts.accepted == 1
    assert len(shop.book()) == 4


def test_a_server_service_is_ordered_by_its_fields(open_shop):
    shop = open_shop()
    with Client() as client:
        one = client.order_server(FIELDS[0], 951)
        both = client.order_server(FIELDS, 951, max_spend=Decimal(5))
    assert (one.counts.accepted, both.counts.accepted) == (1, 1)
    assert sorted(entry.imei for entry in shop.book()) == [
        "email_951=a@example.com, quantity_951=2",
        "email_951=b@example.com, quantity_951=1",
    ]
    assert one.spent.amount + both.spent.amount == sum(entry.price for entry in shop.book())


async def test_the_asynchronous_client_orders_them_too(open_shop):
    open_shop()
    moments = []
    async with AsyncClient() as client:
        report = await client.order_server(FIELDS, 951, on_progress=moments.append)
        assert report.counts.accepted == 2
        assert (await client.order_files(("1.ask", b"request"), 902)).counts.accepted == 1


def test_one_whose_reply_was_lost_is_held_and_not_ordered_again(open_shop):
    shop = open_shop(faults="reset:after@100%", fault_actions="placefileorder")
    with Client() as client:
        report = client.order_files(("1.ask", b"request"), 902)
        assert report.counts.unconfirmed == 1
        assert [row.state for row in client.rows(report.job)] == [OrderState.UNCONFIRMED]
        with pytest.raises(WaitingItemError, match=r"1\.ask"):
            client.order_files(("1.ask", b"request"), 902, reorder=True)
    assert len(shop.book()) == 1


def test_each_kind_has_a_price_list_of_its_own(open_shop):
    open_shop()
    with Client() as client:
        assert [str(one.price) for one in client.services("file").services] == ["1.20", "3.75"]
        assert "951" in {one.id for one in client.services("server").services}
        assert "951" not in {one.id for one in client.services().services}
        with pytest.raises(UsageError, match="say imei, file or server"):
            client.services("files")


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda it: it.order_files([], 902), UsageError),
        (lambda it: it.order_files([("1.ask", b"")], 902), UsageError),
        (lambda it: it.order_files([("1.ask", b"a"), ("2.ask", b"a")], 902), UsageError),
        (lambda it: it.order_files([5], 902), UsageError),
        (lambda it: it.order_files("missing.ask", 902), UnreadableFileError),
        (lambda it: it.order_files(("1.ask", b"a"), 12), UnknownServiceError),
        (lambda it: it.order_server(["email"], 951), UsageError),
        (lambda it: it.order_server({"apiKey": "x"}, 951), UsageError),
        (lambda it: it.order_server({"email_951": "x"}, 951, max_spend=5), UsageError),
    ],
)
def test_what_cannot_be_ordered_is_said_and_nothing_is_sent(open_shop, ask, error):
    shop = open_shop()
    with Client() as client:
        with pytest.raises(error):
            ask(client)
        assert client.jobs() == []
    assert not shop.book()


def test_a_cap_needs_a_price_that_is_known(open_shop):
    shop = open_shop(faults="reset:before@100%", fault_actions="serverservices")
    with Client() as client, pytest.raises(UnknownPriceError):
        client.order_server(FIELDS, 951, max_spend=Decimal(5))
    assert not shop.book()
