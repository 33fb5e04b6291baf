"""Room for so many at once: counted at the door, given back however a place is left."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from imeiflow.web.room import FullError, Room


def make_room(most: int = 3, most_of_one: int = 2) -> Room:
    return Room(most=most, most_of_one=most_of_one, problem="Come again.")


def test_one_person_does_not_shut_out_the_others():
    room = make_room()
    held = [room.enter("mia"), room.enter("mia")]
    with pytest.raises(FullError, match="Come again"):
        room.enter("mia")
    with room.enter("ann"):
        assert (room.count("mia"), room.count("ann")) == (2, 1)
        with pytest.raises(FullError) as error:
            room.enter("leo")
        assert error.value.status_code == 503
        assert int(error.value.headers["retry-after"]) > 0
    assert room.count("ann") == 0
    for one in held:
        one.leave()
        one.leave()
    assert room.count("mia") == 0


def test_a_place_that_is_let_go_of_is_left():
    room = make_room(most=1)
    place = room.enter("mia")
    with pytest.raises(FullError):
        room.enter("ann")
    del place
    room.enter("ann").leave()


def test_many_at_once_are_no_more_than_there_is_room_for():
    room = make_room(most=100, most_of_one=5)

    def enter(_):
        try:
            return room.enter("mia")
        except FullError:
            return None

    with ThreadPoolExecutor(16) as pool:
        found = [one for one in pool.map(enter, range(200)) if one is not None]
    assert len(found) == 5
