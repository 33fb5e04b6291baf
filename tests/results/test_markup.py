"""Lines are told apart in whatever markup they come; what is no markup stays as it stands."""

from __future__ import annotations

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.results.markup import split_lines


@pytest.mark.parametrize(
    "mark",
    [
        *(
            "<br>",
            "<BR>",
            "<br/>",
            "<br />",
            "</br>",
            "<br\n/>",
            '<br clear="all">',
            "<hr>",
            "<p>",
            "</p><p class='x'>",
        ),
        *("\n", "\r", "\r\n", "\n\n \n", "\v", "\f", "\u2028", "\u2029", "\x85", "&#10;", "&#xA;", "&lt;br&gt;"),
        *("</div><div>", "</li><li>", "</tr><tr>", "&amp;lt;br /&amp;gt;", "&NewLine;", "<!-- x --><br>"),
    ],
)
def test_every_break_ends_a_line(mark):
    assert split_lines(f"a b{mark}c") == ["a b", "c"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("<b>Model</b>:&nbsp;<span style='color:red'>X</span>", "Model: X"),
        ("AT&amp;T &eacute;&#233;&#xE9; &quot;x&quot;", 'AT&T ééé "x"'),
        ("AT&amp;amp;T", "AT&T"),
        ("AT&T &unheard; &copy=1 &notit; &amp", "AT&T &unheard; &copy=1 &notit; &amp"),
        (
            "a < b > c <3 <none> <me@shop.example> <i am here> < br>",
            "a < b > c <3 <none> <me@shop.example> <i am here> < br>",
        ),
        ("a\u00a0\u2003  b\u200b\ufeff\0c\x1b", "a bc"),
        ("<td>a</td> <td>b</td>", "a\tb"),
        ("<dl><dt>a</dt><dd>b</dd></dl>", "a\tb"),
        ("&#0;&#x110000;x", "\ufffd\ufffdx"),
        ("&#" + "9" * 5_000 + ";", "&#" + "9" * 5_000 + ";"),
        ("<b", "<b"),
    ],
)
def test_tags_and_entities_are_made_out_and_everything_else_is_text(text, line):
    assert split_lines(text) == [line]


@given(st.lists(st.text(st.characters(exclude_categories=("C", "Z")), min_size=1), min_size=1, max_size=5))
def test_text_that_was_escaped_once_comes_back(texts):
    lines = [line for line in texts if "&" not in line and "<" not in line]
    assert split_lines("<br>".join(map(html.escape, lines))) == lines


@given(st.text())
def test_no_line_is_empty_or_ends_in_space(text):
    for line in split_lines(text):
        assert line.strip(" \t") == line != ""
