"""Only HTML's own tags are markup; a word in angle brackets is a word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.domain.markup import remove_markup

WORDS = ["<Barred>", "</Barred>", "<3 days>", "<Clean Only>", "<B grade>", "<me@shop.example>", "a < b > c", "<", "<>"]


@pytest.mark.parametrize("text", WORDS)
def test_what_html_does_not_have_is_a_word_and_stays(text):
    assert remove_markup(f"iPhone {text}!") == f"iPhone {text}!"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<b>A</b> <FONT color=red>B</FONT>", "A B"),
        ('<a href="x">A</a><img src=x onerror=alert(1)>', "A"),
        ("<svg onload=alert(1)>A</svg><iframe src=x></iframe>", "A"),
        ("A<p>B</p><br/>C<h2>D</h2>E<o:p></o:p>", "A\nB\n\nC\nD\nE"),
        ("A<td>B</td>", "A\tB\t"),
        ("&lt;b&gt;A&lt;/b&gt; &amp;lt;Barred&amp;gt;", "A <Barred>"),
    ],
)
def test_the_tags_of_html_and_entities_are_replaced(text, left):
    assert remove_markup(text) == left


@given(st.lists(st.sampled_from([*WORDS, "<b>", "</i>", "<br>", "&lt;", "&gt;", "x", " ", "-->"])).map("".join))
def test_no_word_is_lost_whatever_stands_around_it(text):
    assert remove_markup(text).count("Barred") == text.count("Barred")
