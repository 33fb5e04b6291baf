"""Guessing passwords is slowed down, and nothing else is."""

from __future__ import annotations

from imeiflow.web.throttle import Throttle


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def fail(throttle: Throttle, times: int, *keys: str) -> None:
    for _ in range(times):
        throttle.fail(*keys)


def test_four_failures_are_free_and_the_fifth_waits():
    throttle = Throttle(Clock())
    fail(throttle, 4, "name mia")
    assert throttle.wait_s("name mia") == 0
    throttle.fail("name mia")
    assert throttle.wait_s("name mia") == 15
    assert throttle.wait_s("name ola") == 0


def test_each_further_failure_waits_longer_but_never_over_a_quarter_of_an_hour():
    throttle = Throttle(Clock())
    waits = []
    for _ in range(20):
        throttle.fail("name mia")
        waits.append(throttle.wait_s("name mia"))
    assert waits == sorted(waits)
    assert waits[-1] == 900


def test_a_wait_ends_and_success_forgets():
    clock = Clock()
    throttle = Throttle(clock)
    fail(throttle, 5, "name mia", "address 1")
    clock.now += 16
    assert throttle.wait_s("name mia", "address 1") == 0
    throttle.succeed("name mia")
    fail(throttle, 4, "name mia")
    assert throttle.wait_s("name mia") == 0


def test_an_hour_after_the_last_failure_all_are_forgotten_and_not_before():
    for pause, wait in ((3600, 15), (3601, 0)):
        clock = Clock()
        throttle = Throttle(clock)
        fail(throttle, 4, "name mia")
        clock.now += pause
        throttle.fail("name mia")
        assert throttle.wait_s("name mia") == wait


def test_a_failure_that_was_none_leaves_those_before_it_and_their_wait():
    throttle = Throttle(Clock())
    numbers = [throttle.fail("address 1") for _ in range(6)]
    throttle.undo("address 1", numbers[5])
    assert throttle.wait_s("address 1") == 15
    throttle.undo("address 1", numbers[4])
    assert throttle.wait_s("address 1") == 0
    throttle.fail("address 1")
    assert throttle.wait_s("address 1") == 15


def test_a_right_password_lets_nobody_wait_and_ends_no_wait_that_a_wrong_one_brought_meanwhile():
    clock = Clock()
    throttle = Throttle(clock)
    fail(throttle, 6, "address 1")
    clock.now += 31
    throttle.undo("address 1", throttle.fail("address 1"))
    assert throttle.wait_s("address 1") == 0
    right, _ = throttle.fail("address 1"), throttle.fail("address 1")
    throttle.undo("address 1", right)
    assert throttle.wait_s("address 1") > 0


def test_any_of_the_keys_makes_wait():
    throttle = Throttle(Clock())
    fail(throttle, 5, "address 1")
    assert throttle.wait_s("name mia", "address 1") == 15


def test_what_it_holds_does_not_grow_with_the_names_that_are_tried():
    throttle = Throttle(Clock())
    for number in range(10_050):
        throttle.fail(f"name {number}")
    assert len(throttle._records) == 10_000
    fail(throttle, 5, "name mia")
    assert throttle.wait_s("name mia") == 15
