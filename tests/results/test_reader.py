"""What is written in any layout is read back; whatever comes is kept, bounded, and raises nothing."""

from __future__ import annotations

import gc
import math
import time
import tracemalloc
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from imeiflow.results.reader import LONGEST_TEXT, MOST_FIELDS, read_result
from imeiflow.results.result import Kind, Note, Result
from imeiflow.results.vocabulary import find_term
from imeiflow.simulator.behaviour import ResultLayout
from imeiflow.simulator.result import make_result

from .sample import INLINE, KNOWN_KEYS, LINES, make_imei, tricky_words, unknown_keys, words

known_pairs = st.lists(st.tuples(st.sampled_from(KNOWN_KEYS), words), min_size=2, max_size=10)
#: Short pieces of which hostile and damaged texts are made, joined in any order.
_PIECES = (
    *("<", ">", "<br", "<br>", "<!--", "&", "&#", "&lt;", "&#x110000;", ":", "=", " - ", " ", "\t", "\n", "\r", "\0"),
    *(
        "Model",
        "IMEI Number",
        "Carrier:",
        "Find My",
        "NCK",
        "03/04/2024",
        "350000000000006",
        "iPhone",
        "\ud800",
        "٣",
        "：",
        "²",
    ),
)
soups = st.lists(st.sampled_from(_PIECES), max_size=40).map("".join)


def list_pairs(result: Result) -> list[tuple[str, str]]:
    return [(field.key, field.text) for field in result.fields]


#: What is drawn is written in every layout: to draw it takes most of the time.
in_all_layouts = settings(max_examples=150)


@in_all_layouts
@given(pairs=known_pairs)
def test_known_keys_are_read_back_from_every_layout(pairs):
    for layout, write in (LINES | INLINE).items():
        result = read_result(write(pairs))
        assert list_pairs(result) == pairs, layout
        assert all(field.is_known for field in result.fields), layout
        assert not result.remarks, layout


keys = st.sampled_from(("Model", "Carrier", "Note", "Color")) | unknown_keys
values = tricky_words.filter(lambda text: " - Carrier:" not in text and text[0] not in "-|" and not text.endswith(" -"))


@in_all_layouts
@given(pairs=st.lists(st.tuples(keys, values), min_size=2, max_size=8))
def test_a_line_of_its_own_keeps_unknown_keys_and_values_with_separators_in_them(pairs):
    for layout, write in LINES.items():
        if layout not in {"html", "escaped html", "table"} and any("<b" in value for _, value in pairs):
            continue
        result = read_result(write(pairs))
        assert list_pairs(result) == pairs, layout
        assert [field.is_known for field in result.fields] == [find_term(key) is not None for key, _ in pairs], layout


@given(known=st.sampled_from(KNOWN_KEYS), others=st.lists(st.tuples(unknown_keys, words), min_size=1, max_size=6))
def test_unknown_keys_are_read_back_from_between_dashes(known, others):
    pairs = [*others[:2], (known, "x"), *others[2:]]
    assume(len(pairs) > 1)
    result = read_result(" - ".join(f"{key}: {value}" for key, value in pairs))
    assert list_pairs(result) == pairs


@given(st.text() | soups)
def test_nothing_raises_the_raw_text_is_kept_and_no_word_is_invented(text):
    result = read_result(text)
    assert result.raw == text
    assert result == read_result(text)
    for field in result.fields:
        for word in f"{field.key} {field.text}".split():
            assert "&" in text or "<" in text or word in text.translate(dict.fromkeys((*range(9), *range(14, 28), 31)))


@given(st.lists(words.filter(bool), min_size=1, max_size=6), known_pairs)
def test_no_word_of_a_text_is_lost_between_fields_and_remarks(sentences, pairs):
    parts = [*sentences, *(f"{key}: {value}" for key, value in pairs)]
    Random(len(parts)).shuffle(parts)
    result = read_result("\n".join(parts))
    kept = [*result.remarks, *(f"{field.key}: {field.text}" for field in result.fields)]
    assert sorted(" ".join(kept).split()) == sorted(" ".join(parts).split())


@pytest.mark.parametrize("layout", sorted(ResultLayout))
@pytest.mark.parametrize("is_rejected", [False, True])
def test_every_result_of_the_simulator_is_read_to_the_letter(layout, is_rejected):
    for number in range(300):
        imei = make_imei(number)
        text = make_result(imei, "7", 1, layout, is_rejected=is_rejected)
        result = read_result(text)
        if is_rejected:
            check_rejection(text, result)
        elif "Serial" in text:
            check_pairs(imei, result)
        elif text[-1].isdigit():
            (code,) = result.fields
            assert (code.name, code.value) == ("unlock_code", text[-16:])
            assert not result.remarks
        else:
            assert (result.fields, result.remarks) == ((), (text,))


def check_rejection(text: str, result: Result) -> None:
    if text.startswith("Rejected: "):
        assert [(field.name, field.text) for field in result.fields] == [("reason", text.removeprefix("Rejected: "))]
    else:
        assert (result.fields, result.remarks) == ((), (text,))


def check_pairs(imei: str, result: Result) -> None:
    """See that a result in pairs has each field once, whole, and normalised."""
    names = [field.name for field in result.fields]
    expected = "model imei serial imei2 meid applecare purchase_date carrier tether_policy gsma_status find_my simlock"
    assert [name for name in names if name != "demo_unit"] == expected.split()
    assert not result.remarks
    assert not result.notes
    for field in result.fields:
        assert field.is_known
        assert (field.value is None) == (field.kind is Kind.TEXT), field
    assert result.find("imei").value == imei
    assert result.find("model").text.startswith(("iPhone ", "Galaxy S21 5G 128GB - Phantom Gray"))
    assert "<" not in "".join(field.text for field in result.fields)


def test_a_text_at_the_limit_is_read_and_one_beyond_is_kept_raw_and_said_to_be():
    text = "Model: iPhone 13\nNote: "
    longest = text + "x" * (LONGEST_TEXT - len(text))
    assert [field.name for field in read_result(longest).fields] == ["model", "note"]
    assert read_result(longest + "x") == Result(longest + "x", notes=(Note.TOO_LONG,))


def test_as_many_fields_as_a_result_can_have_are_read_and_more_are_kept_raw():
    most = "\n".join(f"Key{'x' * number}: {number}" for number in range(40)) + "\nModel: x" * (MOST_FIELDS - 40)
    assert len(read_result(most).fields) == MOST_FIELDS
    more = f"{most}\nModel: y"
    assert read_result(more) == Result(more, notes=(Note.TOO_MANY_FIELDS,))


@pytest.mark.parametrize("note", Note)
def test_every_note_says_a_sentence(note):
    assert note.sentence.endswith(".")


def fill(piece: str, length: int) -> str:
    return (piece * (length // len(piece) + 1))[:length]


HOSTILE = (
    *("<", "<b ", "<!--", "<br", "<b a='", "&", "&#", "&#9999999;", "&amp;", "&lt;", "&lt;br", "9", " ", "\t", "\n"),
    *(":", ": ", "=", "a:", "a = ", "a: ", " - ", "- ", "-", "\n:", "\n- ", "| ", "Model: ", "Model ", "Model:", "M\n"),
    *(
        "IMEI: 1 ",
        "see Carrier: ",
        "x Carrier: 1:2",
        "Carrier: x - ",
        "\nCarrier:",
        "\nCode:\n1234",
        "SimLock: Locked ",
        " - Find My",
    ),
    *("x ", "٣", "\0", "Model\t", "\nModel\tx", "Date: 03/04/2024 ", "Purchase Date: 1st of Nov", "* * ", "\u200b"),
)


@pytest.mark.parametrize("head", ["", "Model: a\nNote: ", "IMEI"], ids=repr)
@pytest.mark.parametrize("piece", HOSTILE, ids=repr)
def test_a_hostile_text_takes_no_more_than_in_proportion_to_its_length(piece, head):
    # Eight short texts are as long as the long one. It takes as long as they, eight times as long were it quadratic.
    # Both measurements take equally long, so that a busy machine adds to both alike, and the best of each is its own.
    short, long = (head + fill(piece, length) for length in (4_000, 32_000))
    small = large = math.inf
    for _ in range(10):
        small = min(small, sum(measure(short) for _ in range(8)))
        large = min(large, measure(long))
        if large < 3 * max(small, 0.016):  # short times are mostly noise
            return
    raise AssertionError(f"{small:.4f} s of the processor for eight times 4,000 characters, {large:.4f} s for 32,000")


@pytest.mark.parametrize("piece", [":", "\n:", "a: ", "=", "<br>", "\nModel\tx"], ids=repr)
def test_the_longest_hostile_text_takes_no_more_than_some_megabytes(piece):
    text = fill(piece, LONGEST_TEXT)
    tracemalloc.start()
    try:
        read_result(text)
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


def measure(text: str) -> float:
    """Measure the processor's time without the collector's, which grows with whatever else lives in this process."""
    gc.disable()
    try:
        begin = time.process_time()
        read_result(text)
        return time.process_time() - begin
    finally:
        gc.enable()
