"""IMEIs and replies to test with: valid, made up, and of nobody's phone."""

from __future__ import annotations

from hypothesis import strategies as st

from imeiflow.domain.imei import Imei
from imeiflow.domain.order import ResultStatus
from imeiflow.domain.outcome import ErrorKind
from imeiflow.domain.reply import NamedError, NamedOrder, ReplyContent, WholeError

TEST_TAC = "35693803"


def make_imei(number: int) -> Imei:
    """Make the valid IMEI with the serial `number` (up to six digits) of the test TAC."""
    body = f"{TEST_TAC}{number:06d}"
    doubled = (sum(divmod(int(digit) * (1 + place % 2), 10)) for place, digit in enumerate(body))
    return Imei(f"{body}{-sum(doubled) % 10}")


def make_imeis(count: int) -> tuple[Imei, ...]:
    """Make `count` distinct IMEIs."""
    return tuple(make_imei(number) for number in range(count))


#: One to five distinct IMEIs, as one call carries them.
chunks = st.integers(1, 5).map(make_imeis)
kinds = st.sampled_from(ErrorKind)
#: IMEIs that may or may not have been asked for, and what servers write instead of one.
named_imeis = st.one_of(st.integers(0, 7).map(make_imei), st.sampled_from(["", "356938", "n/a"]))
named_orders = st.builds(
    NamedOrder,
    imei=named_imeis,
    reference=st.sampled_from(["", "1", "2", "3", "4", "5", "6"]),
    status=st.none() | st.sampled_from(ResultStatus),
)
named_errors = st.builds(NamedError, imei=named_imeis, kind=kinds, message=st.just("Invalid IMEI!"))
whole_errors = st.builds(WholeError, kind=kinds, message=st.just("no"), duplicate=st.booleans())
contents = st.builds(
    ReplyContent,
    orders=st.lists(named_orders, max_size=6).map(tuple),
    duplicates=st.lists(named_imeis, max_size=3).map(tuple),
    errors=st.lists(named_errors, max_size=3).map(tuple),
    error=st.none() | whole_errors,
)
