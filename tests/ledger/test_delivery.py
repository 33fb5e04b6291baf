"""What the ledger says of many deliveries: what waits, what failed, how each was tried last, whether any changed."""

from __future__ import annotations

from imeiflow.domain.notice import DeliveryState
from imeiflow.ledger.delivery import DeliveryAttempt, NewDelivery
from imeiflow.ledger.ledger import Ledger

DELIVERED, FAILED, PENDING = DeliveryState.DELIVERED, DeliveryState.FAILED, DeliveryState.PENDING


def add(ledger: Ledger, webhook: str, *tries: tuple[int, DeliveryState]) -> int:
    """Add a delivery that was tried so: what came back, and what became of it."""
    number = ledger.newest_delivery()[0]
    base = {"event": "job.finished", "job": None, "count": 1, "body": b"{}", "at": ledger.clock()}
    id_ = ledger.add_delivery(NewDelivery(event_id=f"evt_{number}", webhook=webhook, **base))
    for status, state in tries:
        attempt = DeliveryAttempt(
            started_at=ledger.clock(), elapsed_ms=1, http_status=status, problem="", reply=f"{status}!"
        )
        ledger.record_delivery(id_, attempt, state)
    return id_


def test_what_waits_and_what_failed_is_counted_by_webhook(ledger: Ledger):
    assert ledger.count_undelivered() == {}
    add(ledger, "books", (200, DELIVERED))
    add(ledger, "books", (500, PENDING))
    add(ledger, "books")
    add(ledger, "stock", (410, FAILED))
    assert ledger.count_undelivered() == {("books", PENDING): 2, ("stock", FAILED): 1}


def test_the_last_attempt_of_each_is_told(ledger: Ledger):
    first = add(ledger, "books", (500, PENDING), (503, PENDING))
    second = add(ledger, "books", (410, FAILED))
    other = add(ledger, "books", (200, DELIVERED))
    unsent = add(ledger, "books")
    found = ledger.last_attempts([first, second, unsent])
    assert {id_: one.reply for id_, one in found.items()} == {first: "503!", second: "410!"}
    assert ledger.last_attempts([]) == {}
    assert other not in found


def test_whether_anything_was_added_or_tried_is_told_by_the_newest_of_both(ledger: Ledger):
    assert ledger.newest_delivery() == (0, 0)
    id_ = add(ledger, "books")
    assert ledger.newest_delivery() == (id_, 0)
    add(ledger, "books", (500, PENDING))
    assert ledger.newest_delivery() == (id_ + 1, 1)


def test_what_failed_is_sent_again_only_to_the_webhooks_that_are_named(ledger: Ledger):
    books, stock = add(ledger, "books", (410, FAILED)), add(ledger, "stock", (410, FAILED))
    assert ledger.retry_deliveries(webhooks=["books"]) == 1
    assert {one.id: one.state for one in ledger.deliveries()} == {books: PENDING, stock: FAILED}
    assert ledger.retry_deliveries() == 1
