"""What a reply to an order says, in every layout that is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.domain.order import ResultStatus
from imeiflow.domain.outcome import ErrorKind, Outcome
from imeiflow.domain.reply import NamedError, NamedOrder, ReplyContent, account_for
from imeiflow.providers.gsm_fusion.document import Unreadable, read_document
from imeiflow.providers.gsm_fusion.record import normalise_imei, read_reference, read_status, split_imeis
from imeiflow.providers.gsm_fusion.reply import read_placement
from tests.providers.wire import accept_orders, make_imei

A, B, C = (make_imei(serial) for serial in range(1, 4))


def read(body: str) -> ReplyContent:
    root = read_document(body.encode())
    assert not isinstance(root, Unreadable), root
    return read_placement(root)


def order(reference: str, imei: str) -> NamedOrder:
    return NamedOrder(imei, reference, ResultStatus.PENDING)


def fields(reference: str, imei: str) -> str:
    return f"<id>{reference}</id><imei>{imei}</imei><status>Pending</status>"


TWO_ORDERS = [
    f"<result><imeis>{fields('1', A)}</imeis><imeis>{fields('2', B)}</imeis></result>",
    f"<imeis>{fields('1', A)}</imeis><imeis>{fields('2', B)}</imeis>",
    f"<result><imeis><imei>{fields('1', A)}</imei><imei>{fields('2', B)}</imei></imeis></result>",
    f"<imeis><imei>{fields('1', A)}</imei><imei>{fields('2', B)}</imei></imeis>",
    f"<imeis><order>{fields('1', A)}</order><order>{fields('2', B)}</order></imeis>",
    f"<anything><imeis>{fields('1', A)}</imeis><imeis>{fields('2', B)}</imeis></anything>",
    f"<reply><x><y><imeis><z>{fields('1', A)}</z></imeis></y></x><imeis>{fields('2', B)}</imeis></reply>",
    f"<result><imeis>{fields('1', A)}{fields('2', B)}</imeis></result>",
    f"<RESULT><IMEIS><ID>1</ID><Imei>{A}</Imei><STATUS>1</STATUS></IMEIS><Imeis>{fields('2', B)}</Imeis></RESULT>",
    f'<r xmlns="urn:x"><imeis>{fields("1", A)}</imeis><y:imeis xmlns:y="urn:y">{fields("2", B)}</y:imeis></r>',
    (
        f"<result><imeis><imei>{A}</imei><id>1</id><status>1</status></imeis><imeis>"
        f"<imei> {B[:2]} {B[2:8]}-{B[8:14]}-{B[14]} </imei><id> 2 </id><statusId>1</statusId></imeis></result>"
    ),
    (
        f"<result><imeis><id><![CDATA[1]]></id><imei><![CDATA[{A}]]></imei><status>PENDING</status></imeis>"
        f"<!-- x --><imeis>{fields('2', B)}</imeis></result>"
    ),
]


@pytest.mark.parametrize("body", TWO_ORDERS)
def test_accepted_orders_are_found_in_every_layout(body: str) -> None:
    content = read(body)
    assert sorted(content.orders, key=lambda found: found.reference) == [order("1", A), order("2", B)]
    assert (content.duplicates, content.errors, content.error) == ((), (), None)


def test_an_order_that_does_not_echo_its_imei_is_an_order_without_one() -> None:
    assert read("<result><imeis><id>9</id><status>Pending</status></imeis></result>").orders == (order("9", ""),)


@pytest.mark.parametrize(
    "body",
    [
        f'<result><imeis id="1" imei="{A}" status="Pending"/></result>',
        f"<result><imeis><imei>{A}</imei></imeis></result>",
        f"<result><imeis>{fields('0', A)}</imeis></result>",
        f"<result><imeis>{fields('', A)}</imeis></result>",
        f"<result><imeis>{fields('failed', A)}</imeis></result>",
        f"<result><imeis>{fields('1', A[:14])}</imeis></result>",
        f"<result><imeis>{fields('1', '0' + A)}</imeis></result>",
        f"<result><imeis>{fields('1', 'x' + A)}</imeis></result>",
        f"<result><imeis><id>1</id><id>2</id><imei>{A}</imei><imei>{B}</imei></imeis></result>",
        f"<result><imeis><id>1</id><imei>{A}</imei><imei>{B}</imei></imeis></result>",
        f"<result><imeis><id>1</id><imei>{A},{B}</imei></imeis></result>",
        f"<result><id>1</id><note>{A}</note></result>",
        f"<result><imeiduplicates>{fields('1', 'x')}</imeiduplicates><text>{A}</text></result>",
        "<result/>",
        "<result>Success</result>",
    ],
)
def test_an_imei_that_is_not_clearly_tied_to_a_reference_is_unconfirmed(body: str) -> None:
    account = account_for([A, B], read(body))
    assert account.findings[A].outcome is Outcome.UNCONFIRMED


@pytest.mark.parametrize(
    "inside",
    [
        f"<imeiduplicates><imei>{A},{B}</imei></imeiduplicates>",
        f"<imeiduplicates><imei>{A}</imei><imei>{B}</imei></imeiduplicates>",
        f"<imeiduplicates><imei>{A}</imei></imeiduplicates><imeiduplicates><imei>{B}</imei></imeiduplicates>",
        f"<ImeiDuplicates>{A}; {B}</ImeiDuplicates>",
        f"<imeiduplicates><x><imei>{A} {B}</imei></x></imeiduplicates>",
        f"<imeierrors><imei>{A},{B}</imei><error>IMEI already exists!</error></imeierrors>",
    ],
)
def test_duplicates_are_found_in_every_layout(inside: str) -> None:
    content = read(f"<result><imeis>{fields('5', C)}</imeis>{inside}</result>")
    assert content.duplicates == (A, B)
    assert content.orders == (order("5", C),)
    assert content.errors == ()


@pytest.mark.parametrize(
    "inside",
    [
        f"<imei>{A}</imei><error>Invalid IMEI!</error><imei>{B}</imei><error>Strange</error>",
        f"<error>Invalid IMEI!</error><imei>{A}</imei><error>Strange</error><imei>{B}</imei>",
        f"<x><imei>{A}</imei><error>Invalid IMEI!</error></x><x><imei>{B}</imei><error>Strange</error></x>",
        f"<imei><imei>{A}</imei><error>Invalid IMEI!</error></imei><imei><error>Strange</error><imei>{B}</imei></imei>",
    ],
)
def test_errors_of_an_imei_are_found_in_every_layout(inside: str) -> None:
    content = read(f"<result><imeierrors>{inside}</imeierrors></result>")
    assert content.errors == (
        NamedError(A, ErrorKind.ORDER, "Invalid IMEI!"),
        NamedError(B, ErrorKind.UNKNOWN, "Strange"),
    )
    assert content.error is None


def test_repeated_error_elements_are_all_read() -> None:
    one = "<imeierrors><imei>{}</imei><error>Invalid IMEI!</error></imeierrors>"
    content = read(f"<result>{one.format(A)}{one.format(B)}</result>")
    assert [error.imei for error in content.errors] == [A, B]


def test_an_imei_among_the_errors_without_a_text_is_not_refused() -> None:
    content = read(f"<result><imeierrors><imei>{A}</imei></imeierrors></result>")
    assert account_for([A], content).findings[A].outcome is Outcome.UNCONFIRMED


def test_an_error_beside_an_imei_belongs_to_it() -> None:
    content = read(f"<result><imeis><imei>{A}</imei><error>Invalid IMEI!</error></imeis></result>")
    assert content.errors == (NamedError(A, ErrorKind.ORDER, "Invalid IMEI!"),)
    assert (content.orders, content.error) == ((), None)


@pytest.mark.parametrize(
    "body",
    [
        "<error>Invalid User!</error>",
        "<result><error>Invalid User!</error></result>",
        "<x><y><Error><b>Invalid</b> User!</Error></y></x>",
        "<result><error>Invalid User!</error><error>Invalid User!</error></result>",
        "<result><imeierrors><error>Invalid User!</error></imeierrors></result>",
    ],
)
def test_an_error_of_the_whole_is_found_at_any_depth(body: str) -> None:
    content = read(body)
    assert content.error is not None
    assert (content.error.kind, content.error.message) == (ErrorKind.ACCOUNT, "Invalid User!")


def test_two_errors_that_disagree_prove_nothing() -> None:
    content = read("<result><error>Invalid User!</error><error>Strange</error></result>")
    assert content.error is not None
    assert content.error.kind is ErrorKind.UNKNOWN
    assert content.error.message == "Invalid User!; Strange"


def test_a_single_imei_that_exists_is_a_duplicate_and_a_chunk_is_not() -> None:
    content = read("<error>IMEI already exists!</error>")
    assert account_for([A], content).findings[A].outcome is Outcome.DUPLICATE
    assert account_for([A, B], content).findings[A].outcome is Outcome.UNCONFIRMED


def test_an_order_inside_an_error_is_none() -> None:
    content = read(f"<result><error><imeis>{fields('1', A)}</imeis></error></result>")
    assert content.orders == ()


@given(st.binary(max_size=200))
def test_no_bytes_accept_an_imei_that_they_do_not_name(body: bytes) -> None:
    root = read_document(body)
    if not isinstance(root, Unreadable):
        account = account_for([A, B], read_placement(root))
        assert all(finding.outcome is not Outcome.ACCEPTED for finding in account.findings.values())


names = st.sampled_from(["result", "imeis", "imei", "id", "status", "error", "imeierrors", "imeiduplicates", "x"])
texts = st.sampled_from(["", A, B, "1", "2", "0", "Pending", "Invalid IMEI!", "IMEI already exists!", f"{A},{B}", "x"])
trees = st.recursive(
    st.builds(lambda name, text: f"<{name}>{text}</{name}>", names, texts),
    lambda inner: st.builds(
        lambda name, parts: f"<{name}>{''.join(parts)}</{name}>", names, st.lists(inner, max_size=4)
    ),
    max_leaves=12,
)


@given(trees)
def test_no_tree_raises_or_accepts_an_imei_that_it_does_not_name(body: str) -> None:
    content = read(body)
    account = account_for([A, B, C], content)
    for imei, finding in account.findings.items():
        if finding.outcome in {Outcome.ACCEPTED, Outcome.DUPLICATE, Outcome.REFUSED}:
            assert imei in body
    assert account.findings[C].outcome is not Outcome.ACCEPTED


@given(st.data())
def test_a_cut_reply_accepts_nobody(data: st.DataObject) -> None:
    body = accept_orders(A, B, C)
    cut = data.draw(st.integers(0, len(body) - 1))
    assert isinstance(read_document(body[:cut]), Unreadable)


@pytest.mark.parametrize(
    ("text", "reference"),
    [("1", "1"), (" 12345 ", "12345"), ("A-1", "A-1"), ("x" * 63 + "1", "x" * 63 + "1"), ("1" * 65, "")]
    + [(text, "") for text in ("", "0", "000", "-1", "null", "N/A", "false", "1 2", "<1>", "0.0", "é1")],
)
def test_a_reference_is_an_id_and_not_a_word(text: str, reference: str) -> None:
    assert read_reference(text) == reference


@pytest.mark.parametrize(
    ("word", "number", "status"),
    [
        ("Pending", "", ResultStatus.PENDING),
        ("In Process", "1", ResultStatus.IN_PROCESS),
        ("in-process", "", ResultStatus.IN_PROCESS),
        ("", "2", ResultStatus.COMPLETED),
        ("3", "", ResultStatus.REJECTED),
        ("Strange", "4", ResultStatus.IN_PROCESS),
        ("Strange", "", None),
        ("", "", None),
    ],
)
def test_a_status_is_a_word_or_a_number(word: str, number: str, status: ResultStatus | None) -> None:
    assert read_status(word, number) is status


def test_imeis_are_normalised_and_never_completed() -> None:
    assert normalise_imei(f"{A[:2]}-{A[2:8]}-{A[8:]}") == A
    assert normalise_imei(A[:14]) == A[:14]
    assert split_imeis(f" {A} ,{B};\n{C}|{A[:3]} {A[3:]}") == [A, B, C, A]
