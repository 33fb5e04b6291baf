"""`account_for`: what a reply proves of each IMEI that was sent (design: "Reading a reply", "Doubt")."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import structs

from imeiflow.domain.imei import Imei
from imeiflow.domain.outcome import Ending, ErrorKind, Outcome
from imeiflow.domain.reply import (
    PROVES_NONE_PLACED,
    Account,
    Anomaly,
    AnomalyKind,
    NamedError,
    NamedOrder,
    ReplyContent,
    WholeError,
    account_for,
    account_for_failure,
    finding_of_error,
)

from .sample import chunks, contents, kinds, make_imei, make_imeis, named_orders, whole_errors

STRANGER = make_imei(999_999)
A, B, C = make_imeis(3)

#: What an error that names one order proves of it.
OUTCOME_OF_KIND = {
    ErrorKind.ORDER: Outcome.REFUSED,
    ErrorKind.CHUNK: Outcome.UNCONFIRMED,
    ErrorKind.RATE: Outcome.THROTTLED,
    ErrorKind.OVERLOAD: Outcome.UNCONFIRMED,
    ErrorKind.ACCOUNT: Outcome.THROTTLED,
    ErrorKind.SERVICE: Outcome.THROTTLED,
    ErrorKind.UNKNOWN: Outcome.UNCONFIRMED,
}


def outcomes(account: Account) -> list[Outcome]:
    return [finding.outcome for finding in account.findings.values()]


def kinds_of(account: Account) -> list[AnomalyKind]:
    return [anomaly.kind for anomaly in account.anomalies]


def orders_for(sent: tuple[Imei, ...]) -> tuple[NamedOrder, ...]:
    return tuple(NamedOrder(imei, f"ref-{imei}") for imei in sent)


class TestEveryReply:
    @given(chunks, contents)
    def test_accounts_for_exactly_the_imeis_that_were_sent(self, sent, content):
        assert list(account_for(sent, content).findings) == list(sent)

    @given(chunks, contents)
    def test_an_order_is_accepted_exactly_when_it_is_named_with_a_reference(self, sent, content):
        named = {order.imei for order in content.orders if order.reference}
        if len(sent) == len(content.orders) == 1 and content.orders[0].reference and not content.orders[0].imei:
            named.add(sent[0])
        for imei, finding in account_for(sent, content).findings.items():
            assert (finding.outcome is Outcome.ACCEPTED) == (imei in named)

    @given(chunks, contents)
    def test_the_reference_of_an_accepted_order_is_one_that_the_reply_gives_it(self, sent, content):
        for imei, finding in account_for(sent, content).findings.items():
            if finding.outcome is Outcome.ACCEPTED:
                assert (finding.reference, finding.status) in {
                    (order.reference, order.status) for order in content.orders if order.imei in {imei, ""}
                }
            else:
                assert finding.reference is None

    @given(chunks, contents)
    def test_an_order_is_a_duplicate_only_when_the_reply_says_so_of_it(self, sent, content):
        alone = len(sent) == 1 and content.error is not None and content.error.duplicate
        for imei, finding in account_for(sent, content).findings.items():
            if finding.outcome is Outcome.DUPLICATE:
                assert imei in content.duplicates or alone

    @given(chunks, contents)
    def test_an_order_is_refused_only_by_an_error_of_the_order_that_names_it_or_comes_alone(self, sent, content):
        refused = {error.imei for error in content.errors if error.kind is ErrorKind.ORDER}
        alone = len(sent) == 1 and content.error is not None and content.error.kind is ErrorKind.ORDER
        for imei, finding in account_for(sent, content).findings.items():
            if finding.outcome is Outcome.REFUSED:
                assert imei in refused or alone

    @given(chunks, contents)
    def test_an_order_that_the_reply_does_not_name_is_unconfirmed_unless_one_error_stands_alone(self, sent, content):
        named = {order.imei for order in content.orders} | set(content.duplicates)
        named |= {error.imei for error in content.errors}
        is_lone_error = content.error is not None and not (content.orders or content.duplicates or content.errors)
        assume(not is_lone_error)
        assume(not (len(sent) == len(content.orders) == 1 and not content.orders[0].imei))
        for imei, finding in account_for(sent, content).findings.items():
            if imei not in named:
                assert finding.outcome is Outcome.UNCONFIRMED

    @given(chunks, contents)
    def test_the_error_of_the_whole_is_handed_on(self, sent, content):
        assert account_for(sent, content).error == content.error

    @given(chunks, contents, st.randoms(use_true_random=False))
    def test_what_it_proves_does_not_hang_on_the_order_in_which_the_imeis_were_sent(self, sent, content, random):
        shuffled = random.sample(sent, len(sent))
        assert account_for(shuffled, content).findings == account_for(sent, content).findings

    @given(chunks, st.lists(named_orders, max_size=5))
    def test_orders_that_nobody_asked_for_are_anomalies_and_prove_nothing(self, sent, orders):
        strangers = tuple(structs.replace(order, imei=STRANGER, reference=f"s{n}") for n, order in enumerate(orders))
        account = account_for(sent, ReplyContent(orders=strangers, duplicates=(STRANGER,)))
        assert set(outcomes(account)) == {Outcome.UNCONFIRMED}
        assert kinds_of(account) == [AnomalyKind.UNASKED_IMEI] * (len(orders) + 1)

    @given(chunks, contents)
    def test_every_unasked_imei_is_recorded(self, sent, content):
        shown = [a.value for a in account_for(sent, content).anomalies if a.kind is AnomalyKind.UNASKED_IMEI]
        unasked = [f"{order.imei} as {order.reference}" for order in content.orders if order.reference and order.imei]
        unasked += content.duplicates
        unasked += [error.imei for error in content.errors if error.imei]
        assert sorted(shown) == sorted(text for text in unasked if text.split(" ")[0] not in sent)


class TestAReplyThatNamesItsOrders:
    @given(chunks)
    def test_a_complete_reply_accepts_all_and_shows_nothing_odd(self, sent):
        account = account_for(sent, ReplyContent(orders=orders_for(sent)))
        assert account.count(Outcome.ACCEPTED) == len(sent)
        assert account.anomalies == ()

    @given(st.integers(2, 100))
    def test_a_reply_that_names_only_the_last_leaves_all_others_unconfirmed(self, count):
        sent = make_imeis(count)
        account = account_for(sent, ReplyContent(orders=orders_for(sent[-1:])))
        assert outcomes(account) == [Outcome.UNCONFIRMED] * (count - 1) + [Outcome.ACCEPTED]

    @given(st.integers(51, 100))
    def test_a_reply_cut_at_fifty_leaves_the_rest_unconfirmed(self, count):
        sent = make_imeis(count)
        account = account_for(sent, ReplyContent(orders=orders_for(sent[:50])))
        assert (account.count(Outcome.ACCEPTED), account.count(Outcome.UNCONFIRMED)) == (50, count - 50)

    def test_an_empty_reply_proves_nothing(self):
        assert outcomes(account_for((A, B), ReplyContent())) == [Outcome.UNCONFIRMED] * 2

    def test_accepted_duplicate_and_refused_stand_side_by_side(self):
        content = ReplyContent(
            orders=(NamedOrder(A, "7"),),
            duplicates=(B,),
            errors=(NamedError(C, ErrorKind.ORDER, "Invalid IMEI!"),),
        )
        account = account_for((A, B, C), content)
        assert outcomes(account) == [Outcome.ACCEPTED, Outcome.DUPLICATE, Outcome.REFUSED]
        assert account.findings[C].message == "Invalid IMEI!"

    @pytest.mark.parametrize("kind", ErrorKind)
    def test_an_error_that_names_an_imei_decides_on_it_alone(self, kind):
        account = account_for((A, B), ReplyContent(errors=(NamedError(A, kind, "no"),)))
        assert outcomes(account) == [OUTCOME_OF_KIND[kind], Outcome.UNCONFIRMED]
        assert account.findings[A].kind is kind

    @given(chunks, kinds)
    def test_a_reference_outweighs_whatever_else_is_said_of_the_order(self, sent, kind):
        content = ReplyContent(orders=orders_for(sent), duplicates=sent[:1], errors=(NamedError(sent[-1], kind, "no"),))
        account = account_for(sent, content)
        assert account.count(Outcome.ACCEPTED) == len(sent)
        assert set(kinds_of(account)) == {AnomalyKind.CONTRADICTION}

    @given(st.permutations([ErrorKind.ORDER, ErrorKind.UNKNOWN]))
    def test_of_several_errors_that_differ_the_one_that_proves_least_counts(self, kinds):
        errors = tuple(NamedError(A, kind, kind.value) for kind in kinds)
        account = account_for((A, B), ReplyContent(errors=errors))
        assert account.findings[A].outcome is Outcome.UNCONFIRMED
        assert kinds_of(account) == [AnomalyKind.CONTRADICTION]

    @pytest.mark.parametrize("kind", ErrorKind)
    def test_an_error_beside_an_order_without_a_reference_does_not_prove_that_it_was_not_placed(self, kind):
        content = ReplyContent(orders=(NamedOrder(A, ""),), errors=(NamedError(A, kind, "no"),))
        account = account_for((A, B), content)
        assert account.findings[A].outcome is Outcome.UNCONFIRMED
        assert set(kinds_of(account)) == {AnomalyKind.NO_REFERENCE, AnomalyKind.CONTRADICTION}

    def test_an_order_without_its_imei_is_that_of_a_call_with_a_single_imei(self):
        account = account_for((A,), ReplyContent(orders=(NamedOrder("", "7"),)))
        assert account.findings[A].reference == "7"

    @pytest.mark.parametrize(
        ("orders", "outcome", "anomalies"),
        [
            ((NamedOrder("", "7"),), Outcome.UNCONFIRMED, [AnomalyKind.NO_IMEI]),
            ((NamedOrder(A, ""),), Outcome.UNCONFIRMED, [AnomalyKind.NO_REFERENCE]),
            ((NamedOrder(A, "7"), NamedOrder(A, "8")), Outcome.ACCEPTED, [AnomalyKind.SECOND_REFERENCE]),
            ((NamedOrder(A, "7"), NamedOrder(A, "7")), Outcome.ACCEPTED, []),
            ((NamedOrder(A, "7"), NamedOrder(B, "7")), Outcome.ACCEPTED, [AnomalyKind.SHARED_REFERENCE]),
            ((NamedOrder(STRANGER, "7"),), Outcome.UNCONFIRMED, [AnomalyKind.UNASKED_IMEI]),
        ],
    )
    def test_what_does_not_fit_is_shown(self, orders, outcome, anomalies):
        account = account_for((A, B), ReplyContent(orders=orders))
        assert account.findings[A].outcome is outcome
        assert kinds_of(account) == anomalies

    def test_what_a_call_of_a_single_order_names_instead_of_it_is_not_taken_for_it(self):
        account = account_for((A,), ReplyContent(orders=(NamedOrder(STRANGER, "7"),)))
        assert account.findings[A].outcome is Outcome.UNCONFIRMED
        assert kinds_of(account) == [AnomalyKind.UNASKED_IMEI]

    def test_an_anomaly_shows_the_values_that_do_not_fit(self):
        account = account_for((A, B), ReplyContent(orders=(NamedOrder(A, "7"), NamedOrder(A, "8"))))
        assert account.anomalies == (Anomaly(AnomalyKind.SECOND_REFERENCE, f"{A}: 7 and 8"),)

    def test_two_orders_without_an_imei_settle_not_even_a_single_call(self):
        account = account_for((A,), ReplyContent(orders=(NamedOrder("", "7"), NamedOrder("", "8"))))
        assert account.findings[A].outcome is Outcome.UNCONFIRMED


class TestOneErrorForTheWholeCall:
    @given(st.integers(2, 100).map(make_imeis), whole_errors)
    def test_it_proves_nothing_about_a_chunk_unless_it_is_of_the_account_or_the_rate(self, sent, error):
        expected = Outcome.THROTTLED if error.kind in PROVES_NONE_PLACED else Outcome.UNCONFIRMED
        account = account_for(sent, ReplyContent(error=error))
        assert set(outcomes(account)) == {expected}
        assert {finding.kind for finding in account.findings.values()} == {error.kind}

    def test_an_error_of_the_credit_proves_nothing_about_a_chunk_for_it_may_end_within_it(self):
        error = WholeError(ErrorKind.ACCOUNT, "Credit has been finished!", is_of_credit=True)
        account = account_for((A, B), ReplyContent(error=error))
        assert outcomes(account) == [Outcome.UNCONFIRMED] * 2
        assert account.findings[A].message.startswith("Credit has been finished!")
        assert outcomes(account_for((A,), ReplyContent(error=error))) == [Outcome.THROTTLED]

    def test_only_errors_of_the_account_and_the_rate_prove_that_nothing_was_placed(self):
        assert {ErrorKind.ACCOUNT, ErrorKind.RATE} == PROVES_NONE_PLACED

    @pytest.mark.parametrize("kind", ErrorKind)
    def test_it_decides_on_a_single_order(self, kind):
        assert outcomes(account_for((A,), ReplyContent(error=WholeError(kind, "no")))) == [OUTCOME_OF_KIND[kind]]

    def test_exists_already_is_a_duplicate_of_a_single_order(self):
        error = WholeError(ErrorKind.ORDER, "IMEI already exists!", duplicate=True)
        assert outcomes(account_for((A,), ReplyContent(error=error))) == [Outcome.DUPLICATE]

    def test_exists_already_proves_nothing_about_a_chunk(self):
        error = WholeError(ErrorKind.ORDER, "IMEI already exists!", duplicate=True)
        assert outcomes(account_for((A, B), ReplyContent(error=error))) == [Outcome.UNCONFIRMED] * 2

    @given(chunks, whole_errors, st.sampled_from(["orders", "duplicates", "errors"]))
    def test_beside_anything_that_was_named_it_proves_nothing_of_the_others(self, sent, error, what):
        named = {
            "orders": (NamedOrder(STRANGER, "7"),),
            "duplicates": (STRANGER,),
            "errors": (NamedError(STRANGER, ErrorKind.ORDER, "no"),),
        }
        account = account_for(sent, structs.replace(ReplyContent(error=error), **{what: named[what]}))
        assert set(outcomes(account)) == {Outcome.UNCONFIRMED}

    @given(chunks)
    def test_a_text_that_nobody_has_seen_is_never_success(self, sent):
        account = account_for(sent, ReplyContent(error=WholeError(ErrorKind.UNKNOWN, "Done, thank you!")))
        assert set(outcomes(account)) == {Outcome.UNCONFIRMED}


class TestACallWithoutAReadableReply:
    @pytest.mark.parametrize(
        ("ending", "outcome"),
        [
            (Ending.NOT_SENT, Outcome.UNSENT),
            (Ending.REFUSED_UNREAD, Outcome.THROTTLED),
            (Ending.IN_DOUBT, Outcome.UNCONFIRMED),
        ],
    )
    @given(sent=chunks, error=whole_errors)
    def test_its_ending_decides_whatever_the_error_says(self, ending, outcome, sent, error):
        account = account_for_failure(sent, ending, error)
        assert list(account.findings) == list(sent)
        assert set(outcomes(account)) == {outcome}
        assert account.error == error

    @given(chunks, whole_errors)
    def test_an_error_that_was_answered_is_read_as_a_reply(self, sent, error):
        assert account_for_failure(sent, Ending.ANSWERED, error) == account_for(sent, ReplyContent(error=error))


@pytest.mark.parametrize("kind", ErrorKind)
def test_an_error_keeps_its_kind_and_its_words(kind):
    finding = finding_of_error(kind, "the server's words")
    assert (finding.outcome, finding.kind, finding.message) == (OUTCOME_OF_KIND[kind], kind, "the server's words")
