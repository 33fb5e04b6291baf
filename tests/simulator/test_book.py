from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from imeiflow.domain.order import ResultStatus
from imeiflow.simulator.book import Book, Entry, Life

lives = st.builds(Life, st.integers(0, 50), st.integers(0, 50), st.booleans(), st.booleans())
placings = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["1", "2"]),
        st.decimals(0, 110, places=2),
        st.integers(0, 9),
        lives,
    ),
    max_size=40,
)


@given(placings, st.decimals(0, 10_000, places=2))
def test_credit_charges_and_refunds_always_add_up_to_what_was_paid_in(placed, credit):
    book, now = Book(credit), 0.0
    for imei, service, price, gap, life in placed:
        now += gap
        book.place(imei, service, price, now, life=life)
        refunded = sum((entry.refunded_at(now) for entry in book), Decimal(0))
        charged = sum((entry.price for entry in book), Decimal(0))
        assert book.refunded(now) == refunded
        assert book.balance(now) + charged - refunded == credit
    assert len(book) == len(placed)


@given(placings)
def test_every_order_is_found_by_its_reference_and_under_its_imei(placed):
    book = Book(Decimal(0))
    entries = [book.place(imei, service, price, 0.0, life=life) for imei, service, price, _, life in placed]
    assert len({entry.reference for entry in entries}) == len(entries)
    for entry in entries:
        assert book.find(entry.reference) is entry
        assert entry in book.orders_of(entry.imei, entry.service)
    for imei, service, *_ in placed:
        of_both = [entry for entry in entries if (entry.imei, entry.service) == (imei, service)]
        assert book.orders_of(imei, service) == of_both
        assert [entry.is_repeat for entry in of_both] == [False] + [True] * (len(of_both) - 1)
        assert book.latest(imei, service) is of_both[-1]
    assert book.repeated == len(book.repeats())


@given(placings, st.integers(0, 200))
def test_an_entry_survives_the_way_through_json(placed, now):
    book = Book(Decimal(0))
    for imei, service, price, gap, life in placed:
        entry = book.place(imei, service, price, float(gap), life=life)
        assert Entry.from_json(entry.to_json(float(now))) == entry


def test_an_order_goes_from_pending_through_in_process_to_its_end():
    book = Book(Decimal(10))
    entry = book.place("a", "1", Decimal(1), 100.0, life=Life(5.0, 10.0, is_rejected=False))
    rejected = book.place("b", "1", Decimal(1), 100.0, life=Life(5.0, 10.0, is_rejected=True, is_refunded=True))
    statuses = [entry.status_at(now) for now in (100.0, 104.9, 105.0, 114.9, 115.0)]
    assert statuses == ["pending", "pending", "in_process", "in_process", "completed"]
    assert rejected.status_at(115.0) is ResultStatus.REJECTED
    assert [book.balance(now) for now in (114.9, 115.0)] == [Decimal(8), Decimal(9)]


def test_the_newest_orders_come_first_and_unknown_references_are_not_found():
    book = Book(Decimal(10))
    for imei in "abc":
        book.place(imei, "1", Decimal(1), 0.0, life=Life())
    assert [entry.imei for entry in book.recent(2)] == ["c", "b"]
    assert book.recent(0) == []
    assert [book.find(text) for text in ("", "1", "-1", "²", "9" * 5000, "10000004")] == [None] * 6
