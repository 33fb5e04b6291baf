"""Lists that somebody searches for: one's searches let nobody else's be forgotten, and many at once spoil none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from imeiflow.domain.imei import Imei
from imeiflow.operations.imei_list import ForgottenListError, keep_imei_list, recall_imei_list
from tests.operations.stand import make_imei, open_session


def make_list(number: int) -> tuple[Imei, ...]:
    return tuple(Imei(make_imei(number * 10 + place)) for place in range(10))


def test_the_searches_of_one_let_nobody_else_s_be_forgotten(tmp_path):
    with open_session(tmp_path / "home") as session:
        boss = keep_imei_list(session, make_list(0), "boss")
        kept = [keep_imei_list(session, make_list(number), "vera") for number in range(1, 105)]
        assert recall_imei_list(session, boss) == make_list(0)
        assert recall_imei_list(session, kept[-1]) == make_list(104)
        with pytest.raises(ForgottenListError):
            recall_imei_list(session, kept[0])


def test_the_same_list_kept_by_many_at_once_is_whole(tmp_path):
    with open_session(tmp_path / "home") as session, ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: keep_imei_list(session, make_list(1), "mia"), range(40)))
        assert len(names) == 1
        assert recall_imei_list(session, names.pop()) == make_list(1)
        assert [path.name for path in session.locks.rglob("*.part")] == []
