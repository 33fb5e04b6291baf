from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from imeiflow.domain.ident import JobId, Reference
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.domain.status import StatusAnomaly, StatusAnomalyKind
from imeiflow.ledger.change import PutOff, StatusUpdate
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import OrderRow
from tests.ledger.conftest import ACCOUNT, SERVICE, Clock, Desk
from tests.ledger.older import make_older

PENDING, IN_PROCESS, COMPLETED, REJECTED = ResultStatus
HOUR = timedelta(hours=1)


async def accept(desk: Desk, *positions: int, status: ResultStatus | None = PENDING, wait: timedelta = HOUR) -> None:
    """Let orders be accepted in one call, to be asked for an hour later."""
    attempt = await desk.send(*positions)
    changes = [
        desk.change(
            position,
            OrderState.ACCEPTED,
            reference=Reference(f"R{position}"),
            status=status,
            due_at=desk.clock() + wait,
        )
        for position in positions
    ]
    await desk.end(attempt, *changes)


def say(desk: Desk, position: int, status: ResultStatus, result: str | None = None, **values: object) -> StatusUpdate:
    return StatusUpdate(order=desk.orders[position].id, status=status, result=result, **values)  # type: ignore[arg-type]


def row(desk: Desk, position: int) -> OrderRow:
    return next(one for one in desk.ledger.order_rows(desk.job) if one.id == desk.orders[position].id)


def due(desk: Desk, **by: float) -> list[int]:
    until = desk.clock() + timedelta(**by)
    positions = {order.id: position for position, order in enumerate(desk.orders)}
    return [positions[one.id] for one in desk.ledger.due_orders(desk.job, until)]


async def test_an_accepted_order_is_due_when_it_was_said_and_not_before(desk: Desk):
    await accept(desk, 0, 1)
    assert due(desk, minutes=59) == []
    assert due(desk, minutes=61) == [0, 1]
    (job,) = desk.ledger.due_jobs(ACCOUNT)
    assert (job.id, job.service, job.due_at) == (desk.job, SERVICE, desk.clock() + HOUR)


async def test_an_order_that_the_provider_does_not_have_is_never_due(desk: Desk):
    attempt = await desk.send(0, 1)
    await desk.end(attempt, desk.change(0, OrderState.DUPLICATE), desk.change(1, OrderState.REFUSED))
    assert desk.ledger.due_jobs(ACCOUNT) == []
    assert desk.ledger.count_open(desk.job) == 0


async def test_an_order_that_is_placed_by_the_user_s_word_is_due_at_once_if_its_reference_is_known(desk: Desk):
    attempt = await desk.send(0, 1)
    await desk.end(attempt, *(desk.change(position, OrderState.UNCONFIRMED) for position in (0, 1)))
    desk.ledger.mark_placed(desk.ids(0), Reference("R0"))
    desk.ledger.mark_placed(desk.ids(1))
    assert due(desk) == [0]


async def test_an_order_is_followed_although_the_placing_call_named_its_end_for_it_named_no_result(desk: Desk):
    await accept(desk, 0, status=COMPLETED)
    assert due(desk, hours=2) == [0]
    desk.ledger.update_statuses(ACCOUNT, [say(desk, 0, COMPLETED, "Carrier: X")])
    assert due(desk, hours=2) == []
    assert row(desk, 0).result == "Carrier: X"
    assert [change.is_end for change in desk.ledger.status_changes()] == [True]


@pytest.mark.parametrize("end", [COMPLETED, REJECTED])
async def test_the_last_word_ends_it_with_time_and_text(desk: Desk, end: ResultStatus):
    await accept(desk, 0)
    desk.clock.move(minutes=5)
    kept = desk.ledger.update_statuses(ACCOUNT, [say(desk, 0, end, "the text", due_at=desk.clock() + HOUR)])
    assert (kept.stored, kept.changes, kept.anomalies) == (1, {end: 1}, {})
    found = row(desk, 0)
    assert (found.status, found.result, found.completed_at, found.status_at) == (
        end,
        "the text",
        desk.clock(),
        desk.clock(),
    )
    assert due(desk, days=365) == []


async def test_what_is_said_after_the_end_changes_nothing_and_is_kept_as_an_anomaly(desk: Desk):
    await accept(desk, 0)
    desk.ledger.update_statuses(ACCOUNT, [say(desk, 0, COMPLETED, "Carrier: X")])
    before = row(desk, 0)
    desk.clock.move(hours=1)
    for status, code in ((PENDING, None), (REJECTED, "no"), (COMPLETED, "Carrier: Y")):
        assert desk.ledger.update_statuses(ACCOUNT, [say(desk, 0, status, code)]).stored == 0
    assert row(desk, 0) == before
    assert desk.ledger.count_anomalies(desk.job) == {
        StatusAnomalyKind.BACKWARDS: 1,
        StatusAnomalyKind.RESULT_CHANGED: 1,
    }
    (changed,) = [
        one for one in desk.ledger.status_anomalies(job_id=desk.job) if one.kind is StatusAnomalyKind.RESULT_CHANGED
    ]
    assert (changed.times, changed.detail, changed.reference) == (2, "completed: Carrier: Y", "R0")
    assert len(desk.ledger.status_changes()) == 1


async def test_a_status_that_is_said_again_moves_only_the_time_of_the_next_question(desk: Desk):
    await accept(desk, 0)
    desk.clock.move(hours=2)
    desk.ledger.update_statuses(ACCOUNT, [say(desk, 0, PENDING, due_at=desk.clock() + HOUR)])
    assert due(desk, minutes=59) == []
    assert due(desk, minutes=60) == [0]
    assert desk.ledger.status_changes() == []


async def test_the_history_has_every_change_with_its_text_once(desk: Desk):
    await accept(desk, 0)
    for status, code in (
        (PENDING, None),
        (IN_PROCESS, "sent on"),
        (IN_PROCESS, "sent on"),
        (IN_PROCESS, "nearly there"),
        (COMPLETED, "Carrier: X"),
    ):
        desk.clock.move(minutes=1)
        desk.ledger.update_statuses(ACCOUNT, [say(desk, 0, status, code)])
    history = desk.ledger.status_changes(order=desk.orders[0].id)
    assert [(one.before, one.status, one.result) for one in history] == [
        (PENDING, IN_PROCESS, "sent on"),
        (IN_PROCESS, IN_PROCESS, "nearly there"),
        (IN_PROCESS, COMPLETED, "Carrier: X"),
    ]
    assert [one.id for one in history] == sorted(one.id for one in history)
    assert history[0].at < history[1].at < history[2].at


async def test_a_listener_gets_each_end_once_by_the_last_id_that_it_has_seen(desk: Desk):
    await accept(desk, 0, 1)
    assert desk.ledger.status_changes() == []
    desk.ledger.update_statuses(ACCOUNT, [say(desk, 0, COMPLETED, "A"), say(desk, 1, IN_PROCESS)])
    (first,) = desk.ledger.status_changes(is_end=True)
    desk.ledger.update_statuses(ACCOUNT, [say(desk, 0, COMPLETED, "A"), say(desk, 1, REJECTED, "no")])
    (second,) = desk.ledger.status_changes(after=first.id, is_end=True)
    assert [(one.order, one.status, one.result, one.job) for one in (first, second)] == [
        (desk.orders[0].id, COMPLETED, "A", desk.job),
        (desk.orders[1].id, REJECTED, "no", desk.job),
    ]
    assert desk.ledger.status_changes(after=second.id) == []


async def test_a_question_without_an_answer_is_put_off_and_counted(desk: Desk):
    await accept(desk, 0, 1)
    later = desk.clock() + 3 * HOUR
    orders = [order.id for order in desk.orders]
    desk.ledger.update_statuses(
        ACCOUNT, [], put_off=[PutOff(orders[0], later, is_missing=True), PutOff(orders[1], later)]
    )
    found = {one.id: one.misses for one in desk.ledger.due_orders(desk.job, later)}
    assert found == {orders[0]: 1, orders[1]: 0}
    assert desk.ledger.count_unknown(desk.job) == 1
    desk.ledger.update_statuses(ACCOUNT, [say(desk, 0, PENDING, due_at=later)])
    assert desk.ledger.count_unknown(desk.job) == 0


def tell(desk: Desk, position: int, kind: StatusAnomalyKind, detail: str = "") -> None:
    """Let an answer about an order be of a kind that cannot be used."""
    desk.clock.move(minutes=1)
    order = desk.orders[position].id
    odd = StatusAnomaly(kind, Reference(f"R{position}"), order, detail)
    desk.ledger.update_statuses(ACCOUNT, [], put_off=[PutOff(order, desk.clock() + HOUR)], anomalies=[odd])


def stuck(desk: Desk) -> list[tuple[int, StatusAnomalyKind, int]]:
    positions = {order.id: position for position, order in enumerate(desk.orders)}
    return [(positions[one.id], one.kind, one.times) for one in desk.ledger.stuck_orders(desk.job)]


async def test_another_imei_under_a_reference_is_not_waited_for_until_the_provider_has_put_it_right(desk: Desk):
    await accept(desk, 0, 1)
    assert (stuck(desk), desk.ledger.count_unusable(desk.job)) == ([], 0)
    tell(desk, 1, StatusAnomalyKind.FOREIGN_IMEI, "IMEI 1: completed")
    (one,) = desk.ledger.stuck_orders(desk.job)
    assert (one.id, one.imei, one.reference) == (desk.orders[1].id, desk.orders[1].imei, "R1")
    assert (one.kind, one.times, one.detail) == (StatusAnomalyKind.FOREIGN_IMEI, 1, "IMEI 1: completed")
    assert desk.ledger.count_unusable(desk.job) == 1
    desk.clock.move(minutes=1)
    desk.ledger.update_statuses(ACCOUNT, [say(desk, 1, IN_PROCESS, due_at=desk.clock() + HOUR)])
    assert (stuck(desk), desk.ledger.count_unusable(desk.job)) == ([], 0)


@pytest.mark.parametrize("kind", [StatusAnomalyKind.CONTRADICTION, StatusAnomalyKind.UNREADABLE])
async def test_an_answer_that_may_yet_be_another_is_waited_for_three_times(desk: Desk, kind: StatusAnomalyKind):
    await accept(desk, 0, 1)
    for told in ([], [], [(0, kind, 3)], [(0, kind, 4)]):
        tell(desk, 0, kind)
        assert stuck(desk) == told
        assert desk.ledger.count_unusable(desk.job) == len(told)


async def test_what_goes_backwards_or_is_final_is_not_stuck(desk: Desk):
    await accept(desk, 0, 1)
    tell(desk, 1, StatusAnomalyKind.FOREIGN_IMEI)
    for _ in range(3):
        tell(desk, 0, StatusAnomalyKind.BACKWARDS)
    assert stuck(desk) == [(1, StatusAnomalyKind.FOREIGN_IMEI, 1)]
    desk.ledger.update_statuses(ACCOUNT, [say(desk, 1, COMPLETED, "A")])
    tell(desk, 1, StatusAnomalyKind.FOREIGN_IMEI)
    assert (stuck(desk), desk.ledger.count_unusable(desk.job)) == ([], 0)


async def test_an_order_is_stuck_once_whatever_is_said_of_it(desk: Desk):
    await accept(desk, 0, 1, 2)
    for kind in (StatusAnomalyKind.FOREIGN_IMEI, *[StatusAnomalyKind.UNREADABLE] * 3):
        tell(desk, 2, kind)
    later = desk.clock() + HOUR
    for _ in range(3):
        desk.ledger.update_statuses(ACCOUNT, [], put_off=[PutOff(desk.orders[0].id, later, is_missing=True)])
    assert stuck(desk) == [(0, StatusAnomalyKind.UNKNOWN, 3), (2, StatusAnomalyKind.UNREADABLE, 3)]
    assert desk.ledger.count_unusable(desk.job) == 1
    for _ in range(3):  # once it is not known either, that is what counts
        desk.ledger.update_statuses(ACCOUNT, [], put_off=[PutOff(desk.orders[2].id, later, is_missing=True)])
    assert {kind for _, kind, _ in stuck(desk)} == {StatusAnomalyKind.UNKNOWN}
    assert desk.ledger.count_unusable(desk.job) == 0
    assert len(desk.ledger.stuck_orders(desk.job, limit=1)) == 1


async def test_nothing_final_is_put_off_into_being_asked_again(desk: Desk):
    await accept(desk, 0)
    desk.ledger.update_statuses(ACCOUNT, [say(desk, 0, COMPLETED, "A")])
    desk.ledger.update_statuses(ACCOUNT, [], put_off=[PutOff(desk.orders[0].id, desk.clock(), is_missing=True)])
    assert due(desk, days=365) == []


async def test_hurrying_makes_due_what_was_not_asked_a_moment_ago(desk: Desk):
    await accept(desk, 0, 1)
    desk.clock.move(minutes=10)
    desk.ledger.update_statuses(ACCOUNT, [say(desk, 1, PENDING, due_at=desk.clock() + HOUR)])
    assert desk.ledger.hurry(desk.job, asked_before=desk.clock() - timedelta(seconds=30)) == 1
    assert due(desk) == [0]
    assert desk.ledger.count_open(desk.job) == 2
    assert desk.ledger.count_open(desk.job, until=desk.clock()) == 1


def test_an_anomaly_that_comes_again_is_counted_and_not_added(desk: Desk, clock: Clock):
    anomaly = StatusAnomaly(StatusAnomalyKind.UNASKED, Reference("X1"), None, "completed")
    assert desk.ledger.update_statuses(ACCOUNT, [], anomalies=[anomaly]).anomalies == {StatusAnomalyKind.UNASKED: 1}
    clock.move(hours=1)
    assert desk.ledger.update_statuses(ACCOUNT, [], anomalies=[anomaly]).anomalies == {}
    (kept,) = desk.ledger.status_anomalies(account=ACCOUNT)
    assert (kept.times, kept.order, kept.job, kept.last_at - kept.first_at) == (2, None, None, HOUR)


async def test_counts_by_status_are_those_of_accepted_orders(desk: Desk):
    await accept(desk, 0, 1, 2)
    await accept(desk, 3, status=None)
    desk.ledger.update_statuses(ACCOUNT, [say(desk, 0, COMPLETED, "A"), say(desk, 1, REJECTED, "no")])
    assert desk.ledger.status_counts(desk.job) == {COMPLETED: 1, REJECTED: 1, PENDING: 1, None: 1}


async def test_a_job_of_another_account_is_not_polled(desk: Desk, add_job: Callable[..., JobId]):
    await accept(desk, 0)
    add_job(account="other")
    assert [job.id for job in desk.ledger.due_jobs(ACCOUNT)] == [desk.job]
    assert desk.ledger.due_jobs("other") == []  # type: ignore[arg-type]


async def test_the_due_question_is_answered_from_its_index_in_its_order(desk: Desk):
    await accept(desk, 0)
    seen: list[str] = []

    def explain(sql: str, *parameters: object) -> list[str]:
        with sqlite3.connect(desk.ledger.path) as connection:
            plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall()
        connection.close()
        return [step[3] for step in plan]

    event.listen(desk.ledger._readers, "before_cursor_execute", lambda *told: seen.append(told[2]))
    desk.ledger.due_orders(desk.job, desk.clock())
    desk.ledger.due_jobs(ACCOUNT)
    desk.ledger.count_open(desk.job, until=desk.clock())
    desk.ledger.count_unknown(desk.job)
    desk.ledger.status_counts(desk.job)
    desk.ledger.count_unusable(desk.job)
    desk.ledger.stuck_orders(desk.job)
    due_orders, due_jobs, count_open, count_unknown, heard, unheard, unusable, odd, unknown = (
        explain(sql, *[1] * sql.count("?")) for sql in seen
    )
    assert due_orders == ["SEARCH orders USING INDEX ix_orders_due (job_id=? AND due_at>? AND due_at<?)"]
    assert "SEARCH orders USING COVERING INDEX ix_orders_due (job_id=? AND due_at>?)" in due_jobs
    assert not [step for step in due_jobs if step.startswith("SCAN orders")]
    assert count_open == ["SEARCH orders USING COVERING INDEX ix_orders_due (job_id=? AND due_at>? AND due_at<?)"]
    assert count_unknown == ["SEARCH orders USING COVERING INDEX ix_orders_due (job_id=? AND due_at>?)"]
    assert heard == ["SEARCH orders USING COVERING INDEX ix_orders_status (job_id=? AND status>?)"]
    for steps in (unusable, odd):
        assert "SEARCH status_anomaly USING INDEX ix_status_anomaly_job_id (job_id=?)" in steps
        assert "SEARCH orders USING INTEGER PRIMARY KEY (rowid=?)" in steps
    assert unknown == ["SEARCH orders USING INDEX ix_orders_due (job_id=? AND due_at>?)"]
    assert unheard == ["SEARCH orders USING COVERING INDEX ix_orders_unheard (job_id=? AND state=? AND status=?)"]


def test_a_ledger_of_the_first_version_is_migrated_with_what_it_waits_for(tmp_path: Path, clock: Clock, desk: Desk):
    path = tmp_path / "old.db"
    make_older(
        path,
        "0001",
        """
            INSERT INTO job (id, account, provider, service, service_name, name, source, state, priority, policy,
                             currency, has_header, created_at, worked_s)
            VALUES (1, 'gsm-fusion', 'gsm-fusion', '1', '', '', '', 'finished', 0, 'settle', 'USD', 0, 0, 0);
            INSERT INTO orders (id, job_id, line, imei, state, attempts, reference, status, status_at, result,
                                charges, accepted_at) VALUES
            (1, 1, 2, '356938030000005', 'accepted', 1, 'R1', 'pending', 5, NULL, 1, 5),
            (2, 1, 3, '356938030000013', 'accepted', 1, 'R2', 'completed', 7, 'Carrier: X', 1, 5),
            (3, 1, 4, '356938030000021', 'accepted', 1, 'R3', 'completed', 5, NULL, 1, 5),
            (4, 1, 5, '356938030000039', 'accepted', 1, NULL, NULL, NULL, NULL, 1, 5),
            (5, 1, 6, '356938030000047', 'unconfirmed', 1, NULL, NULL, NULL, NULL, 0, NULL);
            """,
    )
    with Ledger.open(path, clock=clock) as ledger:
        assert [one.id for one in ledger.due_orders(JobId(1), clock())] == [1, 3]
        (change,) = ledger.status_changes()
        assert (change.order, change.status, change.result, change.is_end) == (2, COMPLETED, "Carrier: X", True)
