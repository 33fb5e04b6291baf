"""Bytes become a document, or the reason why not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from imeiflow.providers.gsm_fusion.document import (
    MAX_ELEMENTS,
    Shape,
    Unreadable,
    read_document,
    read_name,
    read_words,
    split_out,
)

GOOD = "<result><imeis><id>1</id><imei>356938035643809</imei><status>Pending</status></imeis></result>"


def read_ids(body: bytes) -> list[str]:
    root = read_document(body)
    assert not isinstance(root, Unreadable), root
    return [element.text or "" for element in root.iter("id")]


def read_shape(body: bytes) -> Shape:
    document = read_document(body)
    assert isinstance(document, Unreadable), etree.tostring(document)
    assert document.reason
    return document.shape


@pytest.mark.parametrize(
    "body",
    [
        GOOD,
        f'<?xml version="1.0" encoding="utf-8"?>\n{GOOD}',
        f'<?phpxml version="1.0" encoding="utf-8"?>{GOOD}',
        f'<?phpxml version="1.0" encoding="utf-8">{GOOD}',
        f'\n\n  <?xml version="1.0"?>{GOOD}',
        f"\ufeff{GOOD}",
        f"Notice: undefined index in /srv/x.php on line 5\n{GOOD}",
        f"<br />\n<b>Warning</b>: mysql_query() in <b>/srv/x.php</b> on line <b>5</b><br />\n{GOOD}",
        f"<br>\n<b>Notice</b>: x<br>{GOOD}",
        f"{GOOD}\n<br />\n<b>Warning</b>: Unknown in <b>x</b><br />",
        f"{GOOD}\n<br>Warning",
        f"{GOOD} trailing words",
        f"{GOOD}<?php echo 1 ?>",
        f"{GOOD}<!-- cached -->",
        GOOD.replace("Pending", "Pending\x00\x0b & more &nbsp; &#0; &#xFFFF; AT&T"),
        GOOD.replace("Pending", "<![CDATA[a & b <br> </x>]]>"),
        GOOD.replace("Pending", "<![CDATA[a & b <br> </x>]]> & "),
        GOOD.removeprefix("<result>").removesuffix("</result>"),
    ],
)
def test_a_whole_document_is_read_whatever_stands_around_it(body: str) -> None:
    assert read_ids(body.encode()) == ["1"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252", "latin-1"])
def test_encodings_are_found_out(encoding: str) -> None:
    assert read_ids(GOOD.replace("Pending", "Ängstlich é").encode(encoding)) == ["1"]


def test_what_stands_in_cdata_is_not_mended() -> None:
    root = read_document(b"<r><a><![CDATA[x & y]]></a><b>x & y</b></r>")
    assert not isinstance(root, Unreadable)
    assert [element.text for element in root.iter("a", "b")] == ["x & y", "x & y"]


@given(st.integers(1, len(GOOD) - 1), st.sampled_from(["", "junk ", "<br />", '<?phpxml version="1.0">']))
def test_a_cut_document_is_never_read(cut: int, before: str) -> None:
    assert read_shape((before + GOOD[:cut]).encode()) is not Shape.EMPTY


@given(st.integers(1, len(GOOD)), st.binary(max_size=5))
def test_a_cut_document_with_something_after_it_is_never_read(cut: int, after: bytes) -> None:
    cut_body = GOOD[: len(GOOD) - cut].encode()
    document = read_document(cut_body + after)
    if not isinstance(document, Unreadable):
        assert (cut_body + after).startswith(GOOD.encode()[:-1])


@pytest.mark.parametrize("cut", ["<i", "<imeis", "<imeis><imei", "<imeis><id>2</id>", "<", "</", "</b", "<br"])
def test_roots_without_a_root_around_them_are_not_read_once_they_are_cut(cut: str) -> None:
    one = "<imeis><id>1</id><imei>356938035643809</imei></imeis>"
    assert read_ids((one + one).encode()) == ["1", "1"]
    assert read_shape((one + cut).encode()) is Shape.MALFORMED


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        (b"", Shape.EMPTY),
        (b" \r\n\t", Shape.EMPTY),
        (b"\xef\xbb\xbf", Shape.EMPTY),
        (b"\x00\x00", Shape.EMPTY),
        (b"<!DOCTYPE html><html><body>x</body></html>", Shape.HTML),
        (b"<html><body><imeis><id>1</id></imeis></body></html>", Shape.HTML),
        (b"<HTML><p>x<br></HTML>", Shape.HTML),
        (b"  <head><title>502</title>", Shape.HTML),
        (b"<div><imeis><id>1</id></imeis></div>", Shape.HTML),
        (b"<b>Fatal error</b>: x", Shape.HTML),
        (b'{"message": "Access denied"}', Shape.JSON),
        (b"[1, 2]", Shape.JSON),
        (b"Rate limit exceeded", Shape.TEXT),
        (b"{broken", Shape.TEXT),
        (b"<result><error>x</error>", Shape.MALFORMED),
        (b"<a><b></a></b>", Shape.HTML),
        (b"<x><y></x></y>", Shape.MALFORMED),
        (b"<result>a < b</result>", Shape.MALFORMED),
        (b"\x1f\x8b\x08\x00garbage", Shape.TEXT),
    ],
)
def test_what_is_no_document_has_a_shape(body: bytes, shape: Shape) -> None:
    assert read_shape(body) is shape


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "declared",
    [
        '<!DOCTYPE r [<!ENTITY a "b">]>',
        '<!doctype r SYSTEM "http://127.0.0.1/x.dtd">',
        "<!DOCTYPE r>",
        '<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;"><!ENTITY c "&b;&b;&b;">]>',
        '<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
    ],
)
def test_a_document_that_declares_a_type_is_refused(declared: str, encoding: str) -> None:
    assert read_shape(f"{declared}<r><id>1</id></r>".encode(encoding)) is Shape.MALFORMED


def test_an_encoding_that_hides_the_declaration_does_not_help() -> None:
    text = '<?xml version="1.0" encoding="cp037"?><!DOCTYPE r><r><id>1</id></r>'
    assert read_shape(text.encode("cp037")) is not Shape.EMPTY


def test_nesting_has_a_limit() -> None:
    assert read_ids(b"<r>" * 30 + b"<id>1</id>" + b"</r>" * 30) == ["1"]
    assert read_shape(b"<r>" * 33 + b"<id>1</id>" + b"</r>" * 33) is Shape.MALFORMED
    assert read_shape(b"<r>" * 100_000) is Shape.MALFORMED


def test_elements_have_a_limit() -> None:
    assert read_shape(b"<r>" + b"<a/>" * (2 * MAX_ELEMENTS) + b"</r>") is Shape.MALFORMED


@given(st.binary(max_size=300))
def test_no_bytes_raise(body: bytes) -> None:
    read_document(body)


SOUP = "< > / <imeis> </imeis> <id> 1 </id> & &# ; <![CDATA[ ]]> <? ?> <!-- --> <br> <b> </b> <html> { <a:b> </a:b>"
alphabet = st.sampled_from([*SOUP.split(), "\x00", " ", "\ufeff", "<!DOCTYPE"])


@given(st.lists(alphabet, max_size=30).map("".join))
def test_no_soup_of_tags_raises(body: str) -> None:
    read_document(body.encode())


def test_words_are_short_and_free_of_markup() -> None:
    assert read_words("<b>A &amp; B</b><script>x()</script>\n c") == "A & B c"
    assert len(read_words("word " * 100)) == 200


def test_a_name_keeps_the_words_in_angle_brackets_that_are_no_tags() -> None:
    assert read_name("Worldwide iPhone <Barred>", 500) == "Worldwide iPhone <Barred>"
    assert read_name("<b>iPhone</b><br>&lt;Barred&gt;<script>x()</script>\n &amp; c", 500) == "iPhone <Barred> & c"
    assert len(read_name("<Barred> " * 100, 200)) == 200


class Counted(str):
    """A text that counts the characters that are gone through to find something in it."""

    __slots__ = ("steps",)

    def __new__(cls, text: str) -> Counted:
        counted = super().__new__(cls, text)
        counted.steps = 0
        return counted

    def find(self, sub: str, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        found = super().find(sub, start, end)
        self.steps += (found if found >= 0 else len(self)) - start
        return found


@pytest.mark.parametrize(("opening", "closing"), [("<?", "?>"), ("<![CDATA[", "]]>")])
def test_what_is_never_closed_is_gone_through_once(opening: str, closing: str) -> None:
    text = Counted(f"<a>{opening}x{closing}</a>" * 50 + opening * 5000)
    parts = split_out(text, opening, closing)
    assert "".join(parts) == text
    assert len(parts) == 101
    assert parts[1] == f"{opening}x{closing}"
    assert text.steps <= 3 * len(text)


@pytest.mark.parametrize("piece", [b"<?", b"<![CDATA["])
def test_a_damaged_reply_of_openings_that_are_never_closed_is_unreadable(piece: bytes) -> None:
    assert isinstance(read_document(b"<result>" + piece * 2000), Unreadable)
