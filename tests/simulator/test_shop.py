import re
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from imeiflow.simulator.behaviour import Behaviour, ResultLayout
from imeiflow.simulator.book import Book
from imeiflow.simulator.shop import Shop
from tests.simulator.client import make_form, make_imei, make_imeis, make_order, read_orders

TEN = make_imeis(10)
BAD = TEN[4][:-1] + str((int(TEN[4][-1]) + 1) % 10)


class Counter:
    """A shop with its book, asked call by call."""

    def __init__(self, **options: object) -> None:
        behaviour = Behaviour(**{"pending_for": "5", "process_for": "5", **options})
        self.book = Book(behaviour.credit)
        self.shop = Shop(behaviour, self.book, Random(behaviour.seed))
        self.calls = 0

    def ask(self, fields: dict[str, str], now: float = 0.0) -> str:
        self.calls += 1
        return self.shop.answer(fields, self.calls, now).body.decode("utf-8", "replace")

    def order(self, *imeis: str, now: float = 0.0, **fields: str) -> str:
        return self.ask(make_order(*imeis, **fields), now)

    @property
    def placed(self) -> list[str]:
        return [entry.imei for entry in self.book]


def error_of(body: str) -> str | None:
    found = re.search(r"<error>(.*?)</error>", body)
    return found.group(1) if found else None


def test_a_call_places_each_of_its_imeis_once_and_names_them_in_order():
    shop = Counter()
    assert list(read_orders(shop.order(*TEN))) == TEN == shop.placed
    assert shop.book.charged == 10 * Decimal("0.08")


@pytest.mark.parametrize(
    ("options", "reported"),
    [
        ({"chunk_limit": 1, "chunk_cut": "last"}, TEN[-1:]),
        ({"chunk_limit": 1, "chunk_cut": "first"}, TEN[:1]),
        ({"chunk_limit": 4, "chunk_cut": "first"}, TEN[:4]),
    ],
)
@pytest.mark.parametrize("cut_placed", [False, True])
def test_a_call_that_is_cut_reports_a_part_and_places_all_of_it_or_that_part(options, reported, cut_placed):
    shop = Counter(**options_of(options), cut_placed=cut_placed)
    assert list(read_orders(shop.order(*TEN))) == reported
    assert shop.placed == (TEN if cut_placed else reported)
    assert [entry.imei for entry in shop.book if entry.is_reported] == reported


def options_of(options: dict[str, object]) -> dict[str, object]:
    behaviour = Behaviour.parse(options)
    return {name: getattr(behaviour, name) for name in options}


def test_a_call_above_the_maximum_is_refused_whole():
    shop = Counter(chunk_max=9)
    assert error_of(shop.order(*TEN)) == "Maximum IMEI limit exceeded!"
    assert not shop.placed
    assert len(read_orders(shop.order(*TEN[:9]))) == 9


def test_a_bad_imei_has_an_error_of_its_own():
    shop = Counter()
    body = shop.order(*TEN[:4], BAD, *TEN[5:])
    assert f"<imeierrors><imei>{BAD}</imei><error>Invalid IMEI: {BAD}</error></imeierrors>" in body
    assert list(read_orders(body)) == TEN[:4] + TEN[5:] == shop.placed


@pytest.mark.parametrize(("bad_imei", "placed"), [("whole-after", TEN[:4]), ("whole-before", [])])
def test_a_bad_imei_fails_its_call_after_or_before_the_others_are_placed(bad_imei, placed):
    shop = Counter(**options_of({"bad_imei": bad_imei}))
    body = shop.order(*TEN[:4], BAD, *TEN[5:])
    assert body.endswith(f"<error>Invalid IMEI: {BAD}</error>")
    assert shop.placed == placed


def test_some_good_imeis_are_found_bad_and_always_the_same_ones():
    shop = Counter(bad_share=0.3, bad_imeis=(make_imei(1),))
    imeis = make_imeis(400)
    bad = set(re.findall(r"Invalid IMEI: (\d+)", shop.order(*imeis)))
    assert make_imei(1) in bad
    assert 80 < len(bad) < 160
    assert bad == set(re.findall(r"Invalid IMEI: (\d+)", shop.order(*imeis)))


@given(st.integers(0, 10**14 - 1), st.integers(0, 9))
def test_the_check_digit_is_judged_as_luhn_has_it(number, check):
    digits = f"{number:014d}{check}"
    total = sum(sum(divmod(int(digit) * (1 + place % 2), 10)) for place, digit in enumerate(digits))
    assert (error_of(Counter().order(digits)) is None) == (total % 10 == 0)


def test_a_repeat_is_refused_for_ever_under_its_service_and_free():
    shop = Counter()
    shop.order(TEN[0])
    assert error_of(shop.order(TEN[0], now=1e6)) == "IMEI already exists!"
    assert error_of(shop.order(TEN[0], service="2")) is None
    assert [entry.service for entry in shop.book] == ["1", "2"]


def test_a_repeat_is_refused_only_while_the_first_order_is_open():
    shop = Counter(**options_of({"repeats": "refuse-open"}))
    shop.order(TEN[0])
    assert error_of(shop.order(TEN[0], now=9.9)) == "IMEI already exists!"
    assert read_orders(shop.order(TEN[0], now=10.0)) == {TEN[0]: "10000002"}
    assert shop.book.repeated == 1


def test_a_repeat_is_charged_as_another_order():
    shop = Counter(**options_of({"repeats": "charge"}))
    shop.order(TEN[0])
    shop.order(TEN[0], TEN[0])
    assert shop.placed == [TEN[0]] * 3
    assert shop.book.charged == Decimal("0.24")


def test_duplicates_beside_new_orders_are_named_and_alone_are_a_bare_error():
    shop = Counter()
    shop.order(*TEN[:2])
    body = shop.order(*TEN[:3], TEN[2])
    assert f"<imeiduplicates><imei>{TEN[0]},{TEN[1]},{TEN[2]}</imei></imeiduplicates>" in body
    assert list(read_orders(body)) == [TEN[2]]
    assert shop.order(*TEN[:3]) == '<?xml version="1.0" encoding="utf-8"?>\n<error>IMEI already exists!</error>'


def test_a_repeated_order_id_gives_the_first_orders_again_where_that_is_asked_for():
    shop = Counter(honour_order_id=True)
    first = shop.order(*TEN[:2], orderId="mine")
    assert shop.order(*TEN[:2], orderId="mine") == first
    assert len(shop.book) == 2
    assert error_of(shop.order(*TEN[:2], orderId="other")) == "IMEI already exists!"
    assert error_of(Counter().order(TEN[0], orderId="mine")) is None


def test_a_call_that_the_credit_is_too_small_for_places_nothing():
    shop = Counter(credit=Decimal("0.79"))
    assert error_of(shop.order(*TEN)) == "Credit has been finished!"
    assert not shop.placed
    assert len(read_orders(shop.order(*TEN[:9]))) == 9


def test_orders_are_charged_until_the_credit_runs_out_and_none_is_named():
    shop = Counter(credit=Decimal("0.40"), **options_of({"credit_check": "silent"}))
    body = shop.order(*TEN)
    assert error_of(body) == "Credit has been finished!"
    assert not read_orders(body)
    assert shop.placed == TEN[:5]


def test_orders_are_placed_until_the_credit_runs_out():
    shop = Counter(credit=Decimal("0.40"), **options_of({"credit_check": "each", "credit_error": "Not enough credits"}))
    body = shop.order(*TEN)
    assert list(read_orders(body)) == TEN[:5]
    assert re.findall(r"<imei>(\d+)</imei><error>Not enough credits", body) == TEN[5:]
    assert shop.ask(make_form("accountinfo")).endswith("<ClientCredits>$ 0.00 USD</ClientCredits></Client>")


@given(
    st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=8), max_size=12), st.sampled_from(["refuse", "charge"])
)
def test_no_order_is_lost_and_what_is_charged_is_what_stands_in_the_book(calls, repeats):
    shop = Counter(credit=Decimal(2), **options_of({"repeats": repeats, "credit_check": "each"}))
    named: list[str] = []
    for numbers in calls:
        body = shop.order(*(make_imei(number) for number in numbers))
        named += re.findall(r"<id>(\d+)</id>", body)
    assert named == [entry.reference for entry in shop.book]
    assert shop.book.balance(0.0) == 2 - Decimal("0.08") * len(shop.book) >= 0
    if repeats == "refuse":
        assert len(set(shop.placed)) == len(shop.placed)


@pytest.mark.parametrize(
    ("options", "fields", "error"),
    [
        ({}, {"apiKey": "wrong"}, "Invalid User!"),
        ({"wrong_key_error": "Invalid API Key!"}, {"apiKey": "wrong"}, "Invalid API Key!"),
        ({}, {"userId": "nobody"}, "Invalid User!"),
        ({}, {"networkId": "999999"}, "Invalid value of Network Id!"),
        ({"closed_services": ["1"]}, {}, "Invalid value of Network Id!"),
        ({"lockout": "ip"}, {}, "Invalid IP request![203.0.113.7]"),
        ({"lockout": "inactive"}, {}, "This user is not active"),
        ({"lockout": "key"}, {}, "Invalid API Key!"),
        ({"lockout": "not-allowed"}, {}, "API access to you is not allowed!"),
        ({}, {"action": "nonsense"}, "Invalid Action"),
        ({}, {"imei": " , "}, "Invalid IMEI!"),
        ({"accountinfo": False}, {"action": "accountinfo"}, "Invalid Action"),
        ({}, {"action": "getimeis", "orderIds": "1,2"}, "Invalid Order ID"),
    ],
)
def test_a_call_is_refused_whole_with_the_text_of_its_reason(options, fields, error):
    shop = Counter(**options_of(options))
    assert error_of(shop.ask({**make_order(*TEN), **fields})) == error
    assert not shop.placed


def test_the_maintenance_begins_with_the_call_that_it_is_said_to():
    shop = Counter(**options_of({"lockout": "maintenance", "lockout_from": 3}))
    errors = [error_of(shop.order(imei)) for imei in TEN[:4]]
    assert errors == [None, None, *["Website is in maintenance, please try again later"] * 2]
    assert shop.placed == TEN[:2]


def test_the_price_list_has_236_services_in_categories_from_8_cents_to_110_dollars():
    root = etree.fromstring(Counter().ask(make_form("imeiservices")).encode())
    prices = [Decimal(price.text) for price in root.iter("PackagePrice")]
    assert (len(prices), min(prices), max(prices)) == (236, Decimal("0.08"), Decimal(110))
    assert len({identity.text for identity in root.iter("PackageId")}) == 236
    assert len({category.text for category in root.iter("Category")}) > 3
    titles = " ".join(title.text for title in root.iter("PackageTitle"))
    assert "&" in titles
    assert "<" in titles
    assert Counter().ask(make_form("getpackages")) == Counter().ask(make_form("imeiservices"))


@pytest.mark.parametrize(
    "action", ["fileservices", "serverservices", "getmobiles", "getproviders", "getservices", "getservicedtls"]
)
def test_the_other_lists_are_well_formed(action):
    assert len(etree.fromstring(Counter().ask(make_form(action)).encode())) > 0


def test_statuses_follow_the_life_of_an_order():
    shop = Counter()
    shop.order(TEN[0])
    seen = [shop.ask(make_form("getimeis", orderIds="10000001"), now) for now in (0.0, 5.0, 10.0)]
    assert [re.search(r"<statusId>(\d)", body).group(1) for body in seen] == ["1", "4", "2"]
    assert [re.search(r"<status>(.*?)<", body).group(1) for body in seen] == ["Pending", "In Process", "Completed"]
    assert "<code></code>" in seen[1]
    assert "<code></code>" not in seen[2]
    numbers = Counter(**options_of({"status_style": "numbers"}))
    assert "<status>1</status>" in numbers.order(TEN[0])


def test_a_share_of_orders_is_rejected_and_paid_back():
    shop = Counter(rejected_share=0.25)
    imeis = make_imeis(200)
    shop.order(*imeis)
    body = shop.ask(make_form("getimeis", orderIds=",".join(str(10_000_001 + n) for n in range(200))), 10.0)
    rejected = body.count("<status>Rejected</status>")
    assert 25 < rejected < 75
    assert shop.book.refunded(10.0) == rejected * Decimal("0.08")


def test_long_lists_of_ids_are_cut_or_refused_and_recent_orders_are_listed_where_asked_for():
    ids = ",".join(str(10_000_001 + n) for n in range(10))
    for options, expected in (({"status_limit": 3}, TEN[:3]), ({"status_limit": 3, "status_limit_error": True}, [])):
        shop = Counter(**options)
        shop.order(*TEN)
        assert list(read_orders(shop.ask(make_form("getimeis", orderIds=ids)))) == expected
    shop = Counter(lists_recent=4)
    shop.order(*TEN)
    assert list(read_orders(shop.ask(make_form("getimeis")))) == TEN[:5:-1]


@pytest.mark.parametrize("layout", list(ResultLayout))
def test_a_result_is_the_same_each_time_and_differs_from_imei_to_imei(layout):
    def fetch(seed: int) -> list[str]:
        shop = Counter(result_layout=layout, seed=seed)
        shop.order(*TEN)
        ids = ",".join(str(10_000_001 + n) for n in range(10))
        root = etree.fromstring(shop.ask(make_form("getimeis", orderIds=ids), 10.0).encode())
        return [code.text for code in root.iter("code")]

    assert fetch(1) == fetch(1) != fetch(2)
    if layout is not ResultLayout.SENTENCE:
        assert len(set(fetch(1))) == 10


@pytest.mark.parametrize(
    ("layout", "mark"),
    [("br", "<br>"), ("dash", " - "), ("newline", "\r\n"), ("html", "&nbsp;"), ("space", "IMEI")],
)
def test_results_are_laid_out_as_asked_for(layout, mark):
    shop = Counter(**options_of({"result_layout": layout, "cdata": layout != "newline"}))
    shop.order(TEN[0])
    body = shop.ask(make_form("getimeis", orderIds="10000001"), 10.0)
    assert mark in re.search(r"<code>(.*?)</code>", body, re.DOTALL).group(1)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, '<?xml version="1.0" encoding="utf-8"?>\n<result>\n<imeis><id>10000001</id>'),
        ({"without_result": True}, '<?xml version="1.0" encoding="utf-8"?>\n<imeis><id>10000001</id>'),
        ({"reply_layout": "nested"}, "<imeis>\n<imei><id>10000001</id><imei>" + TEN[0]),
        ({"declaration": "phpxml"}, '<?phpxml version="1.0" encoding="utf-8"?>\n<result>'),
        ({"declaration": "none"}, "<result>\n<imeis>"),
        ({"php_warning": True}, "<b>Warning</b>:  Undefined array key"),
        ({"bare_ampersand": True}, "<note>Check & Info</note>"),
    ],
)
def test_replies_are_laid_out_as_asked_for(options, expected):
    assert expected in Counter(**options_of(options)).order(*TEN[:2])


def test_a_shuffled_reply_names_the_same_orders_in_another_order():
    orders = read_orders(Counter(shuffled=True).order(*TEN))
    assert list(orders) != TEN
    assert sorted(orders) == TEN


def test_latin_1_text_is_no_utf_8_though_the_head_says_so():
    shop = Counter(latin_1=True)
    body = shop.shop.answer(make_order(TEN[0]), 1, 0.0).body
    assert "Vérification".encode("latin-1") in body
    with pytest.raises(UnicodeDecodeError):
        body.decode()


def test_an_error_stands_inside_a_result_where_asked_for():
    assert (
        Counter(error_in_result=True)
        .order("1,2", service="x")
        .endswith("<result><error>Invalid value of Network Id!</error></result>")
    )


def test_markup_in_an_imei_is_escaped():
    body = Counter(**options_of({"imei_check": "none"})).order("<b>&", "1]")
    assert etree.fromstring(body.encode()).findtext("imeis/imei") == "<b>&"


def test_file_and_server_orders_are_placed_and_found():
    shop = Counter()
    body = shop.ask(make_form("placefileorder", networkId="901", fileName="a.ask", fileData="QQ=="))
    assert etree.fromstring(body.encode()).findtext("fileorder/id") == "10000001"
    body = shop.ask(make_form("placeserverorder", serviceId="951", email_951="a@example.test", quantity_951="1"))
    assert etree.fromstring(body.encode()).findtext("order/id") == "10000002"
    body = shop.ask(make_form("getserverorder", orderId="10000002"), 10.0)
    assert etree.fromstring(body.encode()).findtext("serverorder/statusId") == "2"
    code = etree.fromstring(body.encode()).findtext("serverorder/code")
    assert re.fullmatch(r"(Unlock code: |NCK=)?\d{16}", code), "a result, and not what was ordered"
    assert error_of(shop.ask(make_form("getfileorder", orderId="10000002"))) == "Invalid Order ID"
    assert error_of(shop.ask(make_form("placefileorder", networkId="901"))) == "Invalid File!"
    assert shop.book.charged == Decimal("3.30")


def test_getimeis_shows_some_orders_otherwise_than_they_are_and_always_the_same_ones():
    ids = ",".join(str(10_000_001 + n) for n in range(10))
    for options, expected in (
        ({"status_unknown_share": 0.5}, lambda found: 0 < len(found) < 10),
        ({"status_foreign_share": 0.5}, lambda found: 0 < len(set(found) - set(TEN)) < 10),
        ({"status_extra": 2}, lambda found: found == TEN + TEN[:2]),
    ):
        shop = Counter(**options)
        shop.order(*TEN)
        first = re.findall(r"<imei>(\d+)</imei>", shop.ask(make_form("getimeis", orderIds=ids)))
        assert expected(first), options
        assert re.findall(r"<imei>(\d+)</imei>", shop.ask(make_form("getimeis", orderIds=ids))) == first


def test_a_status_goes_back_to_pending_late_in_its_process_and_comes_to_its_end_all_the_same():
    shop = Counter(status_backwards_share=1.0)
    shop.order(TEN[0])

    def ask(now: float) -> list[str]:
        return re.findall(r"<status>([^<]*)</status>", shop.ask(make_form("getimeis", orderIds="10000001"), now))

    assert [ask(now) for now in (1.0, 6.0, 9.0, 10.0)] == [["Pending"], ["In Process"], ["Pending"], ["Completed"]]
