"""The demonstration's stage: a list that is like a shop's, the same for the same seed, and orders of before."""

from __future__ import annotations

import pytest

from imeiflow.domain.imei import Flaw, Repair
from imeiflow.errors import ConfigurationError, UsageError
from imeiflow.intake.preview import Preview
from imeiflow.intake.repetition import Deduplicator
from imeiflow.intake.sheet import open_sheet
from imeiflow.operations import demonstration
from imeiflow.operations.demonstration import COLUMNS, SERVICE, choose_behaviour, make_stock, open_stage, write_list
from imeiflow.simulator import Behaviour


def preview_list(path) -> tuple[Preview, tuple[str, ...], str]:
    seen, preview = Deduplicator(), Preview()
    with open_sheet(path) as sheet:
        for row in sheet.rows():
            imei = row.reading.imei
            preview.add(row, None if imei is None else seen.find_first(imei, row.line))
        return preview, sheet.columns, sheet.columns[sheet.imei_column]


def test_a_list_is_read_as_one_of_a_shop_with_something_of_everything(tmp_path):
    write_list(tmp_path / "phones.csv", make_stock(20_000, seed=1))
    preview, columns, chosen = preview_list(tmp_path / "phones.csv")
    assert (columns, chosen) == (COLUMNS, "IMEI")
    assert preview.total == 20_000
    assert preview.invalid == 25
    assert 40 <= preview.repeated <= 51
    assert set(preview.flaws) == {Flaw.LUHN, Flaw.TOO_SHORT, Flaw.DIGITS_LOST, Flaw.NOT_DIGITS}
    wanted = {
        Repair.SPACES,
        Repair.SEPARATORS,
        Repair.QUOTES,
        Repair.CHECK_DIGIT,
        Repair.LABEL,
        Repair.EXPONENT,
    }
    assert set(preview.repairs) == wanted


@pytest.mark.parametrize("count", [1, 2, 19, 20, 500])
def test_a_list_of_any_length_has_so_many_rows_and_can_be_read(tmp_path, count):
    write_list(tmp_path / "phones.csv", make_stock(count, seed=3))
    assert preview_list(tmp_path / "phones.csv")[0].total == count


def test_the_seed_decides_all():
    first, same, other = (make_stock(300, seed) for seed in (5, 5, 6))
    assert (first, list(first.rows())) == (same, list(same.rows()))
    assert list(first.rows()) == list(first.rows())
    assert list(first.rows()) != list(other.rows())


def test_phones_of_before_and_bad_ones_are_apart_and_near_the_top():
    stock = make_stock(20_000, seed=2)
    special = [*stock.earlier, *stock.bad]
    assert (len(stock.earlier), len(stock.bad)) == (25, 8)
    assert len(set(special)) == 33
    assert set(special) <= set(stock.cells[30:200:5])


def test_the_stage_has_orders_of_before_and_a_private_folder_and_behaves_as_wanted_from_then_on(tmp_path):
    behaviour = choose_behaviour(4, {"latency": "0", "read_latency": "0", "capacity": "7"})
    with open_stage(tmp_path / "stage", behaviour, 2_500) as stage:
        book = stage.simulator.book()
        assert stage.simulator.behaviour.capacity == 7
        assert len(stage.simulator.behaviour.bad_imeis) == len(make_stock(2_500, 4).bad)
    assert {entry.reference for entry in book} == stage.earlier
    assert {entry.imei for entry in book} == set(make_stock(2_500, 4).earlier)
    assert {entry.service for entry in book} == {SERVICE}
    assert stage.directory.stat().st_mode & 0o077 == 0


def test_a_folder_with_anything_in_it_is_refused(tmp_path):
    (tmp_path / "note").write_text("mine")
    with pytest.raises(UsageError, match="not empty"), open_stage(tmp_path, Behaviour(), 10):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_an_option_that_there_is_not_is_named():
    with pytest.raises(ConfigurationError, match="colour"):
        choose_behaviour(1, {"colour": "red"})


def test_what_the_user_wants_otherwise_replaces_the_ordinary_day():
    behaviour = choose_behaviour(9, {"faults": "", "capacity": "3"})
    assert (behaviour.faults, behaviour.capacity, behaviour.seed) == ((), 3, 9)
    assert behaviour.latency == demonstration.ORDINARY["latency"]
