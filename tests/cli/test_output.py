"""How values are shown: JSON whose amounts are exact, tables that fit, texts that cannot break the terminal."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.cli.output import count, cut, end_sentence, fold, print_json_list, print_table, say, show_seconds, tell
from imeiflow.domain.order import OrderState
from imeiflow.operations.json_text import clean, dump_json


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6))
def test_an_amount_survives_json_to_its_last_digit(amount):
    assert json.loads(dump_json({"spent": amount}), parse_float=Decimal, parse_int=Decimal) == {"spent": amount}


def test_an_amount_is_a_number_not_a_text_and_never_in_scientific_notation():
    assert dump_json([Decimal("1600.00"), Decimal("1E+3"), Decimal("0.0000001")]) == "[1600.00, 1000, 0.0000001]"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_json_reads_back_as_what_was_written(value):
    assert json.loads(dump_json(value)) == value


def test_enums_times_and_paths_are_texts():
    at = datetime(2026, 11, 24, 22, 3, tzinfo=UTC)
    written = dump_json({"state": OrderState.ACCEPTED, "at": at, "path": Path("a/b")})
    assert json.loads(written) == {"state": "accepted", "at": "2026-11-24T22:03:00+00:00", "path": "a/b"}


def test_json_can_be_written_whatever_the_encoding_of_the_output():
    assert dump_json({"name": "Zürich ×"}).isascii()


def test_a_value_that_json_has_no_word_for_is_an_error_of_ours():
    with pytest.raises(TypeError):
        dump_json(object())
    with pytest.raises(ValueError, match="JSON"):
        dump_json(float("nan"))


@pytest.mark.parametrize("values", [[], [{"job": 1}], [{"job": 1}, {"job": 2}]])
def test_a_streamed_list_is_one_json_list(values, capsys):
    print_json_list(iter(values))
    assert json.loads(capsys.readouterr().out) == values


def test_a_table_is_aligned_its_numbers_to_the_right(capsys):
    print_table(("JOB", "ROWS", "NAME"), [("1", "20,000", "a"), ("12", "5", "b")], right=(0, 1))
    assert capsys.readouterr().out.splitlines() == ["JOB    ROWS  NAME", "  1  20,000  a", " 12       5  b"]


def test_only_the_last_column_of_a_table_is_cut_to_the_screen(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    print_table(("JOB", "NAME"), [("123456", "x" * 200)])
    assert capsys.readouterr().out.splitlines()[1] == "123456  " + "x" * 41 + "…"


def test_a_table_without_rows_says_so(capsys):
    print_table(("JOB",), [], empty="There are no jobs yet.")
    assert capsys.readouterr().out == "There are no jobs yet.\n"


def test_a_text_from_elsewhere_cannot_steer_the_terminal_nor_break_a_line():
    assert clean("Credit\r\nhas \x1b[31mbeen\x07 finished\u202e!") == "Credit has [31mbeen finished !"


def test_a_text_is_cut_with_a_mark():
    assert cut("abcdef", 4) == "abc…"
    assert cut("abcd", 4) == "abcd"


def test_a_line_is_folded_between_words_only_where_a_terminal_shows_it(monkeypatch):
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    line = "  " + " ".join(["word"] * 20)
    monkeypatch.setenv("COLUMNS", "40")
    folded = fold(line, Screen()).splitlines()
    assert max(map(len, folded)) <= 40
    assert folded[0].startswith("  word")
    assert all(rest.startswith("      word") for rest in folded[1:])
    assert fold(line, io.StringIO()) == line


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (7500, "2 h 05 min")],
)
def test_a_length_of_time_is_said_as_people_do(seconds, shown):
    assert show_seconds(seconds) == shown


def test_one_is_not_several():
    assert count(1, "call") == "1 call"
    assert count(20_000, "call") == "20,000 calls"
    assert count(2, "reply", "replies") == "2 replies"


def test_a_list_whose_first_element_cannot_be_had_prints_nothing(capsys):
    def fail():
        raise LookupError
        yield

    with pytest.raises(LookupError):
        print_json_list(fail())
    assert capsys.readouterr().out == ""


def test_no_control_character_of_a_server_or_a_provider_reaches_the_terminal(capsys):
    text = "\x1b]0;owned\x07\x1b[2Jall\tis\nwell\x9b1m\u202e"
    say(text)
    tell([text])
    tell([text], is_aside=True)
    out, err = capsys.readouterr()
    assert (out + err).isascii()
    assert {letter for letter in out + err if not letter.isprintable()} == {"\n", "\t"}
    assert "all\tis\nwell" in out


@pytest.mark.parametrize(
    ("text", "told"),
    [("paused by the user", "paused by the user."), ("Credit has been\nfinished!", "Credit has been finished!")],
)
def test_a_sentence_has_one_end(text, told):
    assert end_sentence(text) == told
