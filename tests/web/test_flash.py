"""What was just done is told once, on the next page at its address, to the session that did it."""

from __future__ import annotations

from imeiflow.web.flash import Flashes


def test_a_word_is_told_once_to_the_session_and_on_the_page_that_it_is_for():
    flashes = Flashes()
    flashes.keep("a", "/jobs/1", "done")
    flashes.keep("a", "/jobs/1", "done again")
    assert flashes.take("b", "/jobs/1") == ""
    assert flashes.take("a", "/jobs") == ""
    assert (flashes.take("a", "/jobs/1"), flashes.take("a", "/jobs/1")) == ("done again", "")


def test_a_word_that_nobody_came_for_is_told_no_more_and_takes_up_no_room():
    now = 1000.0
    flashes = Flashes(lambda: now)
    flashes.keep("a", "/jobs/1", "done")
    for number in range(1500):
        flashes.keep("b", f"/jobs/{number}", "done")
    assert len(flashes._waiting) == 1000
    assert flashes.take("b", "/jobs/1499") == "done"
    now += 61
    assert flashes.take("b", "/jobs/1498") == ""
