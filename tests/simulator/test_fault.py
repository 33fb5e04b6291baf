from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from imeiflow.simulator.answer import Answer, Manner
from imeiflow.simulator.fault import Fault, FaultKind, Moment, choose_fault, spoil

BODY = b'<?xml version="1.0" encoding="utf-8"?>\n<result>\n<imeis><id>1</id><imei>2</imei></imeis>\n</result>'


def test_a_fault_is_read_from_its_text():
    assert Fault.parse("reset@4%") == Fault(FaultKind.RESET, Moment.AFTER, share=0.04)
    assert Fault.parse("cut-xml:before@every:7") == Fault(FaultKind.CUT_XML, Moment.BEFORE, every=7)
    assert Fault.parse("html-502:after@#3,9") == Fault(FaultKind.HTML_502, Moment.AFTER, calls=frozenset({3, 9}))


@pytest.mark.parametrize(
    "text", ["reset", "@4%", "reset@", "reset:later@1%", "boom@1%", "cut@every:0", "cut@-1%", "cut@2"]
)
def test_a_malformed_fault_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - the text is for whoever catches it
        Fault.parse(text)


def test_a_share_hits_about_as_many_calls_as_it_says():
    fault, random = Fault.parse("cut@4%"), Random(5)
    assert 300 < sum(fault.hits(number, random) for number in range(10_000)) < 500


def test_every_nth_and_numbered_calls_are_hit_exactly():
    random = Random(0)
    assert [n for n in range(1, 22) if Fault.parse("cut@every:7").hits(n, random)] == [7, 14, 21]
    assert [n for n in range(1, 22) if Fault.parse("cut@#3,9").hits(n, random)] == [3, 9]


def test_one_fault_does_not_shift_the_calls_that_another_one_hits():
    share, often = Fault.parse("reset@10%"), Fault.parse("cut@every:2")
    alone, both = Random(3), Random(3)
    hit_alone = [number for number in range(1, 500) if choose_fault([share], number, alone)]
    chosen = {number: choose_fault([often, share], number, both) for number in range(1, 500)}
    assert [number for number in hit_alone if number % 2] == [number for number in chosen if chosen[number] is share]


@given(st.integers())
def test_xml_that_is_cut_is_never_well_formed(seed):
    cut = spoil(Answer(body=BODY), FaultKind.CUT_XML, Random(seed))
    assert cut.manner is Manner.SEND
    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring(cut.body)


@given(st.integers())
def test_a_cut_reply_announces_more_than_it_sends(seed):
    cut = spoil(Answer(body=BODY), FaultKind.CUT, Random(seed))
    assert cut.manner is Manner.CUT
    assert 0 <= cut.sent < len(cut.body)


@pytest.mark.parametrize("kind", list(FaultKind))
def test_no_kind_of_fault_leaves_the_answer_as_it_was(kind):
    assert spoil(Answer(body=BODY), kind, Random(1)) != Answer(body=BODY)
