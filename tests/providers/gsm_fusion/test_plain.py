"""The short way of reading says the same as the long one, or nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imeiflow.domain.reply import ReplyContent
from imeiflow.providers.gsm_fusion.document import Unreadable, read_document
from imeiflow.providers.gsm_fusion.plain import read_plain
from imeiflow.providers.gsm_fusion.reply import read_placement
from tests.providers.wire import make_imei

HEADS = (
    "",
    '<?xml version="1.0" encoding="utf-8"?>\n',
    '<?xml version="1.0"?>',
    '<?xml version="1.0" encoding="UTF-8"?>\r\n ',
    '<?xml version="1.0" encoding="UTF-16"?>',
    '<?phpxml version="1.0" encoding="utf-8"?>',
    "\ufeff",
    "Notice: x\n",
)
PLAIN_HEADS = HEADS[:4]
BODY = (
    f"{HEADS[1]}<result>\n<imeis><id>10000001</id><imei>{make_imei(1)}</imei><status>Pending</status></imeis>\n"
    f"<imeis><id>10000002</id><imei>{make_imei(2)}</imei><status>In Process</status></imeis>\n</result>"
).encode()

spaces = st.sampled_from(["", "\n", " ", "\t", "\r\n  "])
references = st.one_of(
    st.integers(1, 10**31).map(str), st.sampled_from(["0", "00", "007", "A1", "-1", "", "1.0", "1 "])
)
imeis = st.one_of(
    st.integers(0, 50).map(make_imei), st.sampled_from(["", "35693803000001", "1234567890123456", "35-693803-000001-3"])
)
statuses = st.sampled_from(
    ["Pending", "In Process", "1", "4", "9", "rejected", "Anything", "Not Known", "", "a  b", "12"]
)
rows = st.tuples(references, imeis, statuses, spaces)

TOKENS = ["result", "imeis", "imei", "id", "status", "error", "imeiduplicates", "imeierrors"]
pieces = st.one_of(
    st.sampled_from([f"<{name}>" for name in TOKENS] + [f"</{name}>" for name in TOKENS]),
    st.sampled_from(["<", ">", "&", "&amp;", "<!-- x -->", "<![CDATA[1]]>", "<!DOCTYPE x>", "\x00", "é", "٣", "<a/>"]),
    st.sampled_from(["1", "Pending", make_imei(1), make_imei(2), " ", "\n", *HEADS]),
)
edits = st.lists(st.tuples(st.integers(0, len(BODY)), st.integers(0, 40), st.one_of(st.just(""), pieces)), max_size=4)


def read_strictly(body: bytes) -> ReplyContent | None:
    root = read_document(body)
    return None if isinstance(root, Unreadable) else read_placement(root)


def write(rows: Sequence[tuple[str, str, str, str]], head: str) -> bytes:
    orders = "".join(
        f"<imeis>{gap}<id>{reference}</id>{gap}<imei>{imei}</imei><status>{status}</status>{gap}</imeis>{gap}"
        for reference, imei, status, gap in rows
    )
    return f"{head}<result>{orders}</result>".encode()


def edit(body: bytes, edits: Sequence[tuple[int, int, str]]) -> bytes:
    for at, count, text in edits:
        body = body[:at] + text.encode() + body[at + count :]
    return body


def assert_same_or_silent(body: bytes) -> None:
    plain = read_plain(body)
    if plain is not None:
        assert plain == read_strictly(body)
        assert plain.orders


@given(st.lists(rows, max_size=5), st.sampled_from(HEADS))
def test_a_reply_that_names_orders_is_read_as_its_document_would_be(rows: list[tuple[str, ...]], head: str) -> None:
    assert_same_or_silent(write(rows, head))  # type: ignore[arg-type]


@given(edits)
@example([(len(BODY) - 9, 9, "")])
@example([(len(BODY), 0, "<a/>")])
def test_a_reply_that_was_damaged_is_read_as_its_document_would_be(edits: list[tuple[int, int, str]]) -> None:
    assert_same_or_silent(edit(BODY, edits))


@given(st.lists(pieces, max_size=30).map("".join))
def test_a_heap_of_pieces_is_read_as_its_document_would_be(text: str) -> None:
    assert_same_or_silent(text.encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_read_as_their_document_would_be(body: bytes) -> None:
    assert_same_or_silent(body)


@pytest.mark.parametrize("length", range(len(BODY)))
def test_a_reply_that_was_cut_anywhere_is_not_read(length: int) -> None:
    assert read_plain(BODY[:length]) is None


@pytest.mark.parametrize("head", PLAIN_HEADS)
@pytest.mark.parametrize("count", [1, 2, 100])
def test_the_usual_reply_takes_the_short_way(head: str, count: int) -> None:
    body = write([(str(10_000_000 + n), make_imei(n), "Pending", "\n") for n in range(count)], head)
    content = read_plain(body)
    assert content is not None
    assert len(content.orders) == count
    assert content == read_strictly(body)


@pytest.mark.parametrize(
    "rest",
    [
        "<error>Invalid User!</error>",
        f"<imeiduplicates><imei>{make_imei(1)}</imei></imeiduplicates>",
        f"<imeierrors><imei>{make_imei(1)}</imei><error>x</error></imeierrors>",
        "<!-- x -->",
        "text",
        "<result></result>",
    ],
)
def test_whatever_else_a_reply_says_goes_the_long_way(rest: str) -> None:
    for inside in (f"{rest}</result>", f"</result>{rest}"):
        assert read_plain(BODY.replace(b"</result>", inside.encode())) is None


def test_a_reply_of_unusual_length_goes_the_long_way() -> None:
    body = BODY.replace(b"<result>", b"<result>" + b" " * 65536)
    assert read_plain(body) is None
    assert read_strictly(body) == read_strictly(BODY)
