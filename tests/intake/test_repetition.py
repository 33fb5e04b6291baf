"""Every IMEI is ordered once, and its repetitions know the first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imeiflow.domain.imei import Imei
from imeiflow.intake.repetition import Deduplicator

from .sample import make_imei


@given(st.lists(st.integers(0, 10**15 - 1) | st.integers(0, 40)))
def test_it_answers_as_a_dict_would(numbers: list[int]) -> None:
    seen, first = Deduplicator(), {}
    for line, number in enumerate(numbers, 1):
        imei = Imei(f"{number:015}")
        assert seen.find_first(imei, line) == first.get(imei)
        first.setdefault(imei, line)
    assert len(seen) == len(first)


def test_it_keeps_what_it_knows_while_it_grows() -> None:
    seen = Deduplicator()
    imeis = [Imei(make_imei(number)) for number in range(20_000)]
    assert all(seen.find_first(imei, line) is None for line, imei in enumerate(imeis, 1))
    assert [seen.find_first(imei, 0) for imei in imeis] == list(range(1, 20_001))


def test_it_takes_at_most_fifty_bytes_an_imei() -> None:
    seen = Deduplicator()
    for number in range(50_000):
        seen.find_first(Imei(make_imei(number)), number)
    assert (seen._keys.itemsize * len(seen._keys) + seen._lines.itemsize * len(seen._lines)) / 50_000 < 50
