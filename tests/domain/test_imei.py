"""Reading an IMEI repairs what leaves one possible phone, and guesses nothing else."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imeiflow.domain.imei import Flaw, Reading, Repair, check_digit, read_imei
from imeiflow.domain.luhn import is_luhn_valid

FIRST14 = "35693803564380"
IMEI = "356938035643809"
NBSP, THIN, ZERO_WIDTH, BOM = "\u00a0", "\u2009", "\u200b", "\ufeff"


def slow_check_digit(first14: str) -> str:
    total = 0
    for place, char in enumerate(first14):
        weighted = int(char) * (2 if place % 2 else 1)
        total += weighted - 9 if weighted > 9 else weighted
    return str((10 - total % 10) % 10)


serials = st.integers(1, 999_999).map(lambda n: f"{n:06}")
tacs = st.sampled_from(["35693803", "99000000", "01234500", "86012345", "35000001"])
bodies = st.builds(str.__add__, tacs, serials)
imeis = bodies.map(lambda body: body + slow_check_digit(body))


def group(imei: str, sizes: tuple[int, ...], mark: str) -> str:
    parts, start = [], 0
    for size in sizes:
        parts.append(imei[start : start + size])
        start += size
    return mark.join(parts)


layouts = st.sampled_from([(15,), (2, 6, 6, 1), (6, 2, 6, 1), (8, 6, 1), (14, 1), (3, 3, 3, 3, 3), (4, 4, 4, 3)])
marks = st.sampled_from([" ", "-", ".", "/", "\u2011", "\u2013", "\u2212", NBSP, THIN, "\u202f", " - "])
scripts = st.sampled_from(["", "\uff10", "\u0660", "\u0966"])
covers = st.sampled_from(
    [
        "{}",
        '"{}"',
        "'{}",
        '="{}"',
        '=""{}""',
        "\u201c{}\u201d",
        "({})",
        "[{}]",
        "`{}`",
        "{},",
        "{};",
        "\u2022 {}",
        "- {}",
    ]
)
labels = st.sampled_from(
    [
        "",
        "IMEI: ",
        "imei:",
        "IMEI ",
        "IMEI1: ",
        "IMEI 1 - ",
        "IMEI No. ",
        "IMEI Number: ",
        "IMEI/MEID: ",
        "\uff29MEI\uff1a",
    ]
)
paddings = st.text(st.sampled_from([" ", "\t", "\r", "\n", NBSP, THIN, ZERO_WIDTH, BOM, "\0", "\u3000"]), max_size=4)


@st.composite
def decorated(draw: st.DrawFn) -> tuple[str, str]:
    imei = draw(imeis)
    text = group(imei, draw(layouts), draw(marks))
    if zero := draw(scripts):
        text = text.translate({ord(str(n)): chr(ord(zero) + n) for n in range(10)})
    text = draw(covers).format(draw(labels) + text)
    return imei, draw(paddings) + text + draw(paddings)


@given(decorated())
def test_a_decorated_imei_is_read_as_itself(pair: tuple[str, str]) -> None:
    imei, text = pair
    assert read_imei(text).imei == imei


@given(imeis)
def test_a_clean_imei_needs_no_repair(imei: str) -> None:
    assert read_imei(imei) == Reading(imei, (), None)
    assert read_imei(imei, was_number=True) == Reading(imei, (), None)


def is_sound(reading: Reading) -> bool:
    if reading.imei is None:
        return reading.flaw is not None and not reading.repairs
    imei = reading.imei
    return (
        reading.flaw is None
        and len(imei) == 15
        and imei.isascii()
        and imei.isdigit()
        and imei[14] == slow_check_digit(imei[:14])
        and read_imei(imei) == Reading(imei, (), None)
        and len(set(reading.repairs)) == len(reading.repairs)
    )


numberish = st.text(
    st.sampled_from("0123456789013579 .,-+/eE'\"=()IMEI:;\u00a0\uff15\u00b2\u0663\0\ud800"), max_size=30
)


@given(st.text() | numberish | st.from_regex(r"\A\d{12,18}\Z"), st.booleans())
@example("\u00b2" * 15, False)
@example("1" * 100_000, False)
@example("=" * 1000, True)
@example("9" * 15 + "E" + "9" * 3, False)
@example("3." + "0" * 300 + "E14", False)
@example("IMEI" * 100, False)
def test_any_text_gives_either_a_valid_imei_or_a_flaw(text: str, was_number: bool) -> None:
    reading = read_imei(text, was_number=was_number)
    assert is_sound(reading)
    assert reading.sentence or reading.imei == text


@given(imeis)
def test_every_single_wrong_digit_is_noticed(imei: str) -> None:
    for place in range(15):
        for digit in "0123456789".replace(imei[place], ""):
            assert read_imei(imei[:place] + digit + imei[place + 1 :]).imei is None


@given(bodies)
def test_fourteen_digits_get_their_check_digit(body: str) -> None:
    assert read_imei(body) == Reading(body + slow_check_digit(body), (Repair.CHECK_DIGIT,), None)


@given(imeis, st.integers(0, 99))
def test_an_imeisv_names_the_phone_of_its_first_fourteen_digits(imei: str, version: int) -> None:
    reading = read_imei(f"{imei[:14]}{version:02}")
    assert reading == Reading(imei, (Repair.SOFTWARE_VERSION,), None)


@given(imeis)
def test_the_software_version_that_a_phone_shows_behind_its_imei_is_dropped(imei: str) -> None:
    assert read_imei(f"{imei}/01").imei == imei
    assert read_imei(f"{imei} / 78").imei == imei


@given(imeis, st.sampled_from(["E+14", "e+14", "E14", "E+014"]), st.sampled_from(".,"))
def test_scientific_notation_with_all_digits_is_exact(imei: str, exponent: str, mark: str) -> None:
    if imei[0] == "0":
        return
    assert read_imei(f"{imei[0]}{mark}{imei[1:]}{exponent}") == Reading(imei, (Repair.EXPONENT,), None)


@given(imeis, st.integers(0, 13))
def test_scientific_notation_with_fewer_digits_is_never_guessed(imei: str, kept: int) -> None:
    if imei[0] == "0":
        return
    reading = read_imei(f"{imei[0]}.{imei[1 : 1 + kept]}E+14")
    assert reading.flaw is Flaw.DIGITS_LOST


@given(imeis, st.sampled_from([".0", ",0", ".00", ".000000"]))
def test_a_float_is_its_whole_number(imei: str, decimals: str) -> None:
    assert read_imei(imei + decimals) == Reading(imei, (Repair.DECIMALS,), None)


@given(imeis.filter(lambda imei: imei[:2] == "01"), st.booleans())
def test_a_zero_that_a_spreadsheet_dropped_is_restored_where_no_other_phone_is_possible(
    imei: str, was_number: bool
) -> None:
    assert read_imei(imei[1:], was_number=was_number) == Reading(imei, (Repair.LEADING_ZERO,), None)


@given(imeis.filter(lambda imei: imei[:2] == "01"), st.integers(1, 9))
def test_fourteen_digits_from_1_that_no_zero_makes_right_are_not_completed(imei: str, change: int) -> None:
    wrong = imei[1:14] + str((int(imei[14]) + change) % 10)
    assert read_imei(wrong).flaw is Flaw.AMBIGUOUS


def test_a_number_of_fourteen_digits_that_could_be_either_is_ambiguous() -> None:
    body = next(f"2{n:013}" for n in range(1234567, 1234600) if is_luhn_valid(f"02{n:013}"))
    assert read_imei(body, was_number=True).flaw is Flaw.AMBIGUOUS


@given(imeis, st.integers(1, 9999))
def test_the_number_of_a_list_item_is_never_joined_to_an_imei(imei: str, item: int) -> None:
    for text in (f"{item}. {imei}", f"{item} {imei}", f"{item}: {imei[:14]}", f"{item}/{imei}"):
        assert read_imei(text).imei is None
    for sizes in ((2, 6, 6, 1), (8, 6, 1), (6, 2, 6, 1)):
        assert read_imei(f"{item} {group(imei, sizes, ' ')}").imei in {None, imei}


@given(imeis, imeis, st.sampled_from([",", ";", " ", " / ", "\n", ", ", "|"]))
def test_two_imeis_in_one_value_are_not_one(first: str, second: str, mark: str) -> None:
    assert read_imei(f"{first}{mark}{second}").flaw is Flaw.SEVERAL


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ("", Flaw.EMPTY),
        (" \t" + NBSP, Flaw.EMPTY),
        ("-", Flaw.EMPTY),
        ('""', Flaw.EMPTY),
        ("n/a", Flaw.NOT_DIGITS),
        ("A0000012345678", Flaw.NOT_DIGITS),
        ("+" + IMEI, Flaw.NOT_DIGITS),
        ("-" + IMEI, Flaw.NOT_DIGITS),
        (IMEI + ".5", Flaw.TOO_LONG),
        ("35693803564380\u00b2", Flaw.NOT_DIGITS),
        (IMEI + " black", Flaw.NOT_DIGITS),
        ("IMEI1: " + IMEI + " IMEI2: 356938035643817", Flaw.SEVERAL),
        ("1234567", Flaw.TOO_SHORT),
        ("3569380356438", Flaw.TOO_SHORT),
        (IMEI + "01", Flaw.TOO_LONG),
        (IMEI + ";10", Flaw.TOO_LONG),
        (IMEI + " 10", Flaw.TOO_LONG),
        ("8944" + IMEI, Flaw.TOO_LONG),
        (FIRST14 + "8", Flaw.LUHN),
        ("0", Flaw.PLACEHOLDER),
        ("000000000000000", Flaw.PLACEHOLDER),
        ("11111111111111", Flaw.PLACEHOLDER),
        ("3,52E+14", Flaw.DIGITS_LOST),
        ("3.5213E+14", Flaw.DIGITS_LOST),
        ("352130000000000", Flaw.DIGITS_LOST),
        ("352130000000000.0", Flaw.DIGITS_LOST),
        ("3.52130000000000E+14", Flaw.DIGITS_LOST),
        ("0" + IMEI, Flaw.AMBIGUOUS),
        ("00" + FIRST14, Flaw.AMBIGUOUS),
        ("1E5", Flaw.TOO_SHORT),
        ("1E300", Flaw.TOO_LONG),
        ("2026-11-28 14:46:46", Flaw.NOT_DIGITS),
        ("2026-11-28 14:46:46.1", Flaw.NOT_DIGITS),
        ("28.11.2026 14:46:46", Flaw.NOT_DIGITS),
        ("11/28/2026 14:46:46", Flaw.NOT_DIGITS),
        ("x" * 10_000, Flaw.NOT_DIGITS),
    ],
)
def test_what_cannot_be_one_imei_is_a_flaw(text: str, flaw: Flaw) -> None:
    reading = read_imei(text)
    assert reading.imei is None
    assert reading.flaw is flaw


def test_thousands_and_decimals_of_either_country_are_read() -> None:
    for text in ("352,130,219,890,307", "352.130.219.890.307,00", "352'130'219'890'307.0", "352 130 219 890 307,0"):
        assert read_imei(text).imei == "352130219890307"


def test_digits_in_groups_that_only_look_like_a_date_are_an_imei() -> None:
    for text in ("3520-11-28-14-46-46", "35-20-11-28-14-4646", "35/20/1128/14/46/46"):
        assert read_imei(text).imei == "35201128144646" + slow_check_digit("35201128144646")


def test_a_dotted_check_digit_of_zero_is_not_taken_for_decimals() -> None:
    body = next(f"35693803{n:06}" for n in range(1, 100) if slow_check_digit(f"35693803{n:06}") == "0")
    assert read_imei(f"{body[:2]}.{body[2:8]}.{body[8:]}.0").imei == body + "0"


def test_a_wrong_check_digit_names_the_one_that_would_fit() -> None:
    assert read_imei(FIRST14 + "8").sentence.endswith("35693803564380 would end in 9.")


@pytest.mark.parametrize("repair", Repair)
def test_every_repair_has_a_sentence(repair: Repair) -> None:
    assert repair.sentence.endswith(".")


@pytest.mark.parametrize("flaw", Flaw)
def test_every_flaw_has_a_sentence_and_a_remedy(flaw: Flaw) -> None:
    assert flaw.sentence.endswith(".")
    assert flaw.remedy.endswith(".")


@given(st.integers(0, 10**14 - 1))
def test_the_check_digit_is_the_one_of_the_plain_algorithm(number: int) -> None:
    body = f"{number:014}"
    assert check_digit(body) == slow_check_digit(body)
    assert [digit for digit in "0123456789" if is_luhn_valid(body + digit)] == [slow_check_digit(body)]


@pytest.mark.parametrize("text", ["", "1" * 13, "1" * 15, "1" * 13 + "x", "\u0661" * 14])
def test_a_check_digit_is_computed_of_fourteen_digits_only(text: str) -> None:
    with pytest.raises(ValueError, match="not 14 digits"):
        check_digit(text)


@pytest.mark.parametrize(
    ("digits", "valid"), [("0", True), ("18", True), ("79927398713", True), ("79927398710", False)]
)
def test_luhn_is_checked_at_any_length(digits: str, valid: bool) -> None:
    assert is_luhn_valid(digits) is valid


@pytest.mark.parametrize("text", ["", "12a", "\u0661\u0668", " 18"])
def test_what_is_not_ascii_digits_is_not_luhn_valid(text: str) -> None:
    assert not is_luhn_valid(text)
