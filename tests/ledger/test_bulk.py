"""Statements for many rows: every size gives every row exactly once, and texts are as databases take them."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, select

from imeiflow.ledger.bulk import Bulk
from imeiflow.ledger.cell import Instant, mend_text
from imeiflow.ledger.dialect import block_rows
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.schema import Id, lane

_given = block_rows(token=Id, taken_at=Instant())
_INSERT_LANES = Bulk(
    insert(lane).from_select(
        ["account", "token", "taken_at"], select(_given.c.token, _given.c.token, _given.c.taken_at)
    ),
    2,
)


@pytest.mark.parametrize(
    "count",
    [1, 2, 3, 5, 8, 65, 100, 300, _INSERT_LANES.largest, _INSERT_LANES.largest + 1, 2 * _INSERT_LANES.largest + 3],
)
def test_every_row_is_written_once_whatever_their_number(ledger: Ledger, count: int):
    values: list[object] = [value for n in range(1, count + 1) for value in (n, 7)]
    assert ledger._write(lambda connection: _INSERT_LANES.run(connection, values)) == count
    with ledger._read() as connection:
        assert sorted(connection.execute(select(lane.c.token)).scalars()) == list(range(1, count + 1))


def test_groups_of_any_size_share_a_few_statements(ledger: Ledger):
    statement = Bulk(_INSERT_LANES.statement, 2)

    def write(connection):
        return [statement.run(connection, [n * 1000, 7]) for n in range(1, 4)] + [
            statement.run(connection, [value for row in range(size) for value in (size * 10_000 + row, 7)])
            for size in range(5, 17)
        ]

    assert ledger._write(write) == [1, 1, 1, *range(5, 17)]
    assert len(statement._forms) == 3


@pytest.mark.parametrize(
    ("text", "mended"),
    [(None, None), ("", None), ("plain", "plain"), ("é", "é"), ("a\0b", "a\ufffdb"), ("\ud800x", "?x")],
)
def test_a_text_that_no_database_takes_is_mended(text: str | None, mended: str | None):
    assert mend_text(text) == mended
