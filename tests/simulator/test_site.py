from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.simulator.answer import Answer, Manner, Refusal, refuse
from imeiflow.simulator.behaviour import Behaviour
from imeiflow.simulator.fault import FaultKind
from imeiflow.simulator.site import Call, Site
from tests.simulator.client import make_form, make_imei, make_imeis, make_order, read_orders
from tests.simulator.timeline import Timeline


class Desk:
    """A site under a clock that is moved by hand, with the answers in the order in which they came."""

    def __init__(self, **options: object) -> None:
        self.time = Timeline()
        self.site = Site(Behaviour.parse(options), self.time, self.time.call_later)
        self.answers: list[tuple[int, float, Answer]] = []
        self.started = self.time.now

    def ask(self, fields: dict[str, str]) -> Call:
        number = self.site.stats.received + 1
        return self.site.receive(
            fields, lambda answer: self.answers.append((number, self.time.now - self.started, answer))
        )

    def order(self, *numbers: int) -> Call:
        return self.ask(make_order(*(make_imei(number) for number in numbers)))

    @property
    def answered(self) -> list[tuple[int, float]]:
        return [(number, pytest.approx(after)) for number, after, _ in self.answers]


def test_a_call_takes_its_latency_and_more_for_each_imei():
    desk = Desk(latency="3.5", latency_per_imei="0.5", read_latency="1")
    desk.order(1, 2, 3)
    desk.ask(make_form("imeiservices"))
    desk.time.advance(4.9)
    assert desk.answered == [(2, 1.0)]
    desk.time.advance(0.1)
    assert desk.answered == [(2, 1.0), (1, 5.0)]


@pytest.mark.parametrize(("placed_at", "placed_first"), [("start", 1), ("end", 0)])
def test_orders_are_placed_at_the_start_or_the_end_of_the_latency(placed_at, placed_first):
    desk = Desk(latency="3", placed_at=placed_at)
    desk.order(1)
    assert len(desk.site.book) == placed_first
    desk.time.advance(3)
    assert len(desk.site.book) == 1
    assert list(read_orders(desk.answers[0][2].body)) == [make_imei(1)]


@pytest.mark.parametrize("placed_at", ["start", "end"])
def test_a_client_that_goes_away_is_counted_and_its_orders_are_placed_all_the_same(placed_at):
    desk = Desk(latency="3", placed_at=placed_at, log_calls=True)
    desk.site.abandon(desk.order(1))
    desk.time.advance(3)
    assert desk.answers == []
    assert len(desk.site.book) == 1
    assert (desk.site.stats.aborted, desk.site.stats.processed) == (1, 1)
    assert desk.site.log[0]["ending"] == "aborted, answered"


def test_calls_above_the_capacity_wait_in_the_order_in_which_they_came():
    desk = Desk(latency="2", capacity=2)
    for number in range(5):
        desk.order(number)
    desk.time.advance(6)
    assert desk.answered == [(1, 2.0), (2, 2.0), (3, 4.0), (4, 4.0), (5, 6.0)]
    assert desk.site.to_json()["peak"] == 2


def test_calls_above_the_capacity_are_refused_where_they_may_not_wait():
    desk = Desk(latency="2", capacity=2, capacity_queues=False, capacity_refusal="200-connections", refusal_latency="1")
    for number in range(5):
        desk.order(number)
    desk.time.advance(2)
    assert desk.answered == [(3, 1.0), (4, 1.0), (5, 1.0), (1, 2.0), (2, 2.0)]
    assert b"<error>Too many connections</error>" in desk.answers[0][2].body
    assert desk.site.stats.refused == {"capacity": 3}
    assert len(desk.site.book) == 2


def test_a_queue_that_is_full_refuses_and_a_raised_capacity_starts_those_who_wait():
    desk = Desk(latency="2", capacity=1, capacity_queue=2)
    for number in range(5):
        desk.order(number)
    assert desk.site.stats.refused == {"capacity": 2}
    desk.site.behave(desk.site.behaviour.updated({"capacity": 3}))
    desk.time.advance(2)
    assert desk.answered == [(4, 0.0), (5, 0.0), (1, 2.0), (2, 2.0), (3, 2.0)]


def test_a_call_above_the_rate_is_refused_unread_and_free():
    desk = Desk(rate="2/10s", rate_refusal="429-retry-after")
    for number in range(3):
        desk.order(number)
    assert [answer.status for _, _, answer in desk.answers] == [200, 200, 429]
    assert dict(desk.answers[2][2].headers) == {"Retry-After": "10"}
    assert (len(desk.site.book), desk.site.stats.processed, desk.site.stats.refused) == (2, 2, {"rate": 1})
    desk.time.advance(10)
    desk.order(2)
    assert len(desk.site.book) == 3


def test_a_ban_refuses_everything_for_its_length_in_its_own_way():
    desk = Desk(rate="1/1000s", rate_refusal="200-rate", ban_after=2, ban_lasts=30, ban_refusal="reset")
    for number in range(4):
        desk.order(number)
    assert [answer.manner for _, _, answer in desk.answers] == [Manner.SEND, Manner.SEND, Manner.RESET, Manner.RESET]
    assert b"Rate limit exceeded" in desk.answers[1][2].body
    assert desk.site.to_json()["bans"] == 1
    assert desk.site.stats.refused == {"rate": 1, "ban": 2}
    desk.time.advance(31)
    desk.order(9)
    assert b"Rate limit exceeded" in desk.answers[-1][2].body


def test_a_rate_about_placing_leaves_other_actions_alone():
    desk = Desk(rate="1/h", rate_actions="placeorder")
    desk.order(1)
    desk.order(2)
    desk.ask(make_form("imeiservices"))
    assert [answer.status for _, _, answer in desk.answers] == [200, 429, 200]


@pytest.mark.parametrize("refusal", list(Refusal))
def test_every_refusal_can_be_said(refusal):
    answer = refuse(refusal, 7.2, 1_700_000_000.0)
    headers = dict(answer.headers)
    assert headers.get("Retry-After") == {
        "429-retry-after": "8",
        "503-retry-after": "8",
        "429-retry-date": "Tue, 14 Nov 2023 22:13:28 GMT",
    }.get(refusal)
    if refusal is Refusal.RESET:
        assert answer.manner is Manner.RESET
    else:
        assert answer.status == int(
            next(part for part in (*refusal.split("-"), "") if part in {"200", "403", "429", "503"})
        )
        assert answer.body


@pytest.mark.parametrize("kind", list(FaultKind))
@pytest.mark.parametrize(("moment", "placed"), [("before", 0), ("after", 2)])
def test_a_lost_reply_has_or_has_not_placed_its_orders(kind, moment, placed):
    desk = Desk(faults=f"{kind}:{moment}@#2")
    desk.order(1)
    desk.order(2, 3)
    desk.order(4)
    assert len(desk.site.book) == 2 + placed
    assert desk.site.stats.faults == {f"{kind}:{moment}": 1}
    assert desk.site.stats.processed == (3 if moment == "after" else 2)
    assert make_imei(4).encode() in desk.answers[2][2].body


def test_faults_hit_only_the_actions_that_they_are_about():
    desk = Desk(faults="empty@every:1", fault_actions="getimeis")
    desk.order(1)
    desk.ask(make_form("getimeis", orderIds="10000001"))
    assert [bool(answer.body) for _, _, answer in desk.answers] == [True, False]


actions = st.one_of(
    st.tuples(st.just("place"), st.lists(st.integers(0, 40), min_size=1, max_size=5)),
    st.tuples(st.just("wait"), st.integers(0, 8)),
    st.tuples(st.just("read"), st.none()),
)
options = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.integers(0, 3),
        "latency": st.sampled_from(["0", "1-4", "lognormal:2,1", "pareto:1,1.2,50"]),
        "rate": st.sampled_from(["2/5s", "1/s,10/60s"]),
        "rate_kind": st.sampled_from(["fixed", "sliding", "bucket"]),
        "ban_after": st.sampled_from([0, 2]),
        "capacity": st.integers(0, 2),
        "capacity_queues": st.booleans(),
        "faults": st.lists(st.sampled_from(["reset@20%", "cut:before@every:3", "500@#1,4", "hang@10%"]), max_size=3),
        "chunk_limit": st.integers(0, 3),
        "cut_placed": st.booleans(),
        "repeats": st.sampled_from(["refuse", "refuse-open", "charge"]),
        "credit": st.sampled_from(["0.30", "100"]),
        "rejected_share": st.sampled_from([0, 0.5]),
        "placed_at": st.sampled_from(["start", "end"]),
    },
)


def run_through(chosen: dict[str, object], script: list[tuple[str, object]]) -> Desk:
    desk = Desk(**chosen)
    for step, value in script:
        if step == "place":
            desk.order(*value)
        elif step == "wait":
            desk.time.advance(value)
        else:
            desk.ask(make_form("accountinfo"))
    desk.time.advance(1000)
    return desk


@given(options, st.lists(actions, max_size=15))
def test_every_call_is_answered_once_and_every_cent_is_accounted_for(chosen, script):
    desk = run_through(chosen, script)
    site, stats = desk.site, desk.site.stats
    assert sorted(number for number, _, _ in desk.answers) == list(range(1, stats.received + 1))
    lost_before = sum(count for name, count in stats.faults.items() if name.endswith(":before"))
    assert stats.received == stats.processed + lost_before + sum(stats.refused.values())
    charged = sum((entry.price for entry in site.book), Decimal(0))
    refunded = sum((entry.refunded_at(desk.time.now) for entry in site.book), Decimal(0))
    assert site.book.balance(desk.time.now) == Decimal(str(chosen.get("credit", "10000000"))) - charged + refunded
    assert site.to_json()["under_way"] == site.to_json()["waiting"] == 0
    if chosen.get("repeats", "refuse") == "refuse":
        assert site.book.repeated == 0
    named = {reference for _, _, answer in desk.answers for reference in read_orders(answer.body).values()}
    assert named <= {entry.reference for entry in site.book if entry.is_reported}


@given(options, st.lists(actions, max_size=10))
def test_the_same_calls_in_the_same_order_have_the_same_end(chosen, script):
    first, second = run_through(chosen, script), run_through(chosen, script)
    assert first.answers == second.answers
    assert list(first.site.book) == list(second.site.book)


def test_a_change_of_behaviour_keeps_orders_limits_and_numbers():
    desk = Desk(rate="2/h", credit="1", faults="empty@#3")
    desk.order(1)
    desk.site.behave(desk.site.behaviour.updated({"latency": "1", "credit": "5"}))
    desk.order(1)
    desk.order(2)
    desk.time.advance(1)
    assert [answer.status for _, _, answer in desk.answers] == [200, 429, 200]
    assert b"already exists" in desk.answers[2][2].body
    assert desk.site.book.balance(desk.time.now) == Decimal("4.92")
    desk.site.behave(desk.site.behaviour.updated({"rate": ""}))
    desk.order(3)
    desk.time.advance(1)
    assert desk.answers[3][2].body == b""


def test_whoever_waits_for_a_number_of_calls_is_told_once():
    desk = Desk()
    told: list[int] = []
    desk.site.watch(2, lambda: told.append(desk.site.stats.received))
    for imei in make_imeis(3):
        desk.ask(make_order(imei))
    desk.site.watch(1, lambda: told.append(-1))
    assert told == [2, -1]
