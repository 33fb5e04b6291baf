"""A preview's counts add up, and each group shows the first few of its rows."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from imeiflow.domain.imei import Flaw, Repair, read_imei
from imeiflow.intake.preview import Preview
from imeiflow.intake.repetition import Deduplicator
from imeiflow.intake.sheet import Row

from .sample import make_imei


def preview_of(values: list[str]) -> Preview:
    preview, seen = Preview(), Deduplicator()
    for line, value in enumerate(values, 1):
        reading = read_imei(value)
        row = Row(line, value, False, reading, (value,))
        preview.add(row, None if reading.imei is None else seen.find_first(reading.imei, line))
    return preview


values = st.sampled_from([make_imei(1), make_imei(2), make_imei(2)[:14], make_imei(3) + " ", "", "x", "3.5E+14", "12"])


@given(st.lists(values))
def test_every_row_is_counted_once(rows: list[str]) -> None:
    preview = preview_of(rows)
    assert preview.total == len(rows) == preview.valid + preview.repeated + preview.invalid
    assert preview.invalid == sum(group.count for group in preview.flaws.values())
    assert preview.valid == len({read_imei(row).imei for row in rows} - {None})
    assert preview.repaired <= sum(group.count for group in preview.repairs.values()) <= preview.valid * len(Repair)
    assert json.loads(json.dumps(preview.as_dict())) == preview.as_dict()


def test_groups_show_their_first_five_rows_and_say_what_to_do() -> None:
    preview = preview_of(
        ["12"] * 7 + [make_imei(1)[:14] + "x" * 200, make_imei(1)[:14], f" {make_imei(1)}", make_imei(2)]
    )
    given = preview.as_dict()
    assert (given["total"], given["valid"], given["repaired"], given["invalid"], given["repeated"]) == (11, 2, 1, 8, 1)
    short, letters = given["flaws"]
    assert (short["flaw"], short["count"], [example["line"] for example in short["examples"]]) == (
        "too_short",
        7,
        [1, 2, 3, 4, 5],
    )
    assert short["remedy"] == Flaw.TOO_SHORT.remedy
    assert len(letters["examples"][0]["value"]) == 80
    assert given["repairs"][0]["examples"] == [
        {"line": 9, "value": make_imei(1)[:14], "imei": make_imei(1), "sentence": Repair.CHECK_DIGIT.sentence}
    ]
    assert given["repetitions"]["examples"][0]["sentence"] == "It stood on line 9 already, and is ordered at most once."
