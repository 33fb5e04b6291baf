"""What does not fit of a server's answer is said to be of another version, whatever it is."""

from __future__ import annotations

from typing import Any

import pytest

from imeiflow.operations.spending import Axis
from imeiflow.remote import reading
from imeiflow.remote.error import RemoteError

READERS = [getattr(reading, name) for name in dir(reading) if name.startswith("read_") and name != "read_as"]
MORE: dict[str, tuple[Any, ...]] = {"read_sum": (Axis.DAY,)}
ODD: list[Any] = [
    {},
    {"job": "x", "state": "of tomorrow"},
    {"price": [], "id": None, "sending": None, "currency": 7, "learned": 3, "statuses": 3, "account": "a", "value": {}},
    None,
    [],
    7,
]


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
@pytest.mark.parametrize("value", ODD, ids=repr)
def test_what_does_not_fit_is_said_not_to(read, value):
    if value == [] and read is reading.read_timeline:
        return  # nothing happened
    with pytest.raises(RemoteError, match="not as expected") as error:
        read(value, *MORE.get(read.__name__, ()))
    assert "different versions" in error.value.remedy


def test_all_that_is_read_of_a_server_is_looked_at():
    assert len(READERS) >= 10
