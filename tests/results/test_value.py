"""Words are normalised where only one thing can be meant, and left alone everywhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.results.result import Kind
from imeiflow.results.value import is_bare_code, read_value
from imeiflow.results.vocabulary import _TERMS, NAMES, find_last_term, find_term, squeeze


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        *(("Find My iPhone", text, "on") for text in ("ON", "on", "Enabled", "Yes", "✅ ON", "FMI ON", "Active")),
        *(("Find My iPhone", text, "off") for text in ("OFF", "Off.", "disabled", "NO", "FMI OFF")),
        *(("Find My iPhone", text, None) for text in ("", "N/A", "ON since 2023", "Lost Mode", "0", "on/off", "?")),
        *(("SimLock", text, "locked") for text in ("Locked", "LOCKED", "Lock", "SIM Locked", "Yes", "ON")),
        *(("SimLock", text, "unlocked") for text in ("Unlocked", "Un-Locked", "SIM free", "Not Locked", "No", "off")),
        *(("SimLock", text, None) for text in ("Unlocked by T-Mobile", "Unknown", "Locked?Unlocked", "Active")),
        *(("Unlock Status", text, value) for text, value in (("Yes", "unlocked"), ("No", "locked"))),
        *(("SIM Status", text, None) for text in ("Yes", "No", "Active")),
        *(("GSMA Status", text, "clean") for text in ("Clean", "CLEAN", "Not Blacklisted", "✔ Clean")),
        *(("GSMA Status", text, "blacklisted") for text in ("Blacklisted", "Lost or Stolen", "Lost/Stolen", "Barred")),
        *(("GSMA Status", text, None) for text in ("Yes", "No", "Pending", "Clean, was blacklisted")),
        *(("Blacklisted", text, "blacklisted") for text in ("Yes", "True", "ON")),
        *(("Blacklisted", text, "clean") for text in ("No", "False", "off")),
        *(("Greylist", "Greylisted", None), ("GSMA Status", "Graylisted", "greylisted")),
        *(
            ("AppleCare Eligible", text, value)
            for text, value in (("Yes", "yes"), ("Not Eligible", "no"), ("Maybe", None))
        ),
        *(
            ("IMEI", text, "350000000000006")
            for text in ("350000000000006", "35 000000 000000 6", "35-000000-000000-6")
        ),
        *(
            ("IMEI", text, None)
            for text in (
                "35000000****006",
                "N/A",
                "3500000000",
                "350000000000006000",
                "350000000000006 350000000000014",
            )
        ),
        *(("MEID", "a1000000abcdef", "A1000000ABCDEF"), ("MEID", "A1000000", None)),
        *(("Serial Number", "f2lx00test01", "F2LX00TEST01"), ("Serial Number", "not known", None)),
        *(("Next Tether Policy", "0052", "0052"), ("Next Tether Policy", "52 - Unlock", None)),
        *(("NCK", text, text) for text in ("12345678", "A1B2-C3D4", "#pw+1234567890+1#", "0012345678901234")),
        *(("NCK", text, None) for text in ("Not found", "123", "pending", "12345678 12345678")),
        *(("Purchase Date", "14 Nov 2023", "2023-11-14"), ("Purchase Date", "soon", None)),
        *(("Model", "ON", None), ("Carrier", "Unlocked", None), ("SimLock", "Locked" + " " * 80, None)),
    ],
)
def test_words_are_normalised_only_where_that_is_safe(key, text, value):
    term = find_term(key)
    kind = term.kind if term else Kind.TEXT
    assert read_value(kind, key, text)[0] == value


@given(st.sampled_from(Kind), st.text(max_size=100), st.text(max_size=200))
def test_no_words_of_any_kind_raise(kind, key, text):
    value, dates = read_value(kind, key, text)
    assert value is None or value
    assert not dates or kind is Kind.DATE


@pytest.mark.parametrize("text", ["12345678", "1234567890123456", "#pw+1234567890+1#", "*#1234567#"])
def test_a_code_is_known_without_a_key(text):
    assert is_bare_code(text)


@pytest.mark.parametrize("text", ["", "123", "1234 5678", "ABCDEFGH", "F2LX00TEST01", "3.5", "#", "1" * 33, "١٢٣٤٥٦٧٨"])
def test_what_may_be_something_else_is_no_code(text):
    assert not is_bare_code(text)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_key_of_its_own_field(name):
    term = find_term(name)
    assert term is not None
    assert (term.name, term.kind) == (name, NAMES[name])


@pytest.mark.parametrize(
    ("key", "name"),
    [
        *(("Model", "model"), ("IMEI Number", "imei"), ("Serial Number", "serial"), ("IMEI2 Number", "imei2")),
        *(("MEID Number", "meid"), ("AppleCare Eligible", "applecare"), ("Estimated Purchase Date", "purchase_date")),
        *(("Carrier", "carrier"), ("Next Tether Policy", "tether_policy"), ("Current GSMA Status", "gsma_status")),
        *(("Find My iPhone", "find_my"), ("SimLock", "simlock"), ("Device Model", "model"), ("IMEI", "imei")),
        *(("Serial", "serial"), ("Network", "carrier"), ("Lock Status", "simlock"), ("FMI", "find_my")),
        *(
            ("find_my-IPHONE", "find_my"),
            ("imei #1", "imei"),
            ("IMEI (2)", "imei2"),
            ("S/N", "serial"),
            ("NCK", "unlock_code"),
        ),
    ],
)
def test_every_key_of_the_protocol_has_its_name(key, name):
    term = find_term(key)
    assert term is not None
    assert term.name == name


@pytest.mark.parametrize("key", ["", " ", "(Model", "Model Kit", "IMEI3", "x" * 49, "Model" * 20, "۞"])
def test_other_words_are_no_key(key):
    assert find_term(key) is None


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("13 128GB Find My iPhone", "Find My iPhone"),
        ("13 128GB IMEI 2", "IMEI 2"),
        ("US Unlock Next Tether Policy", "Next Tether Policy"),
        ("blue Current GSMA Status", "Current GSMA Status"),
        ("IMEI", "IMEI"),
        ("Code", "Code"),
        ("Model Code", None),
        ("the Note", None),
        ("iPhone 13", None),
        ("x" * 60 + " Lock Status", "Lock Status"),
        ("xIMEI", None),
        ("x" * 47 + "IMEI", None),
    ],
)
def test_words_end_in_the_longest_known_key_that_is_no_common_word(words, found):
    last = find_last_term(words)
    assert (words[last[0] :] if last else None) == found


@given(
    st.lists(
        st.sampled_from([*" ".join(" ".join(keys) for _, keys in _TERMS.values()).split(), "13", "-", "x" * 30, "Ü"]),
        max_size=10,
    )
)
def test_the_longest_known_key_is_found_as_by_trying_every_end(found):
    words = " ".join(found)
    starts = [0, *(number + 1 for number, letter in enumerate(words) if letter == " ")][-7:]
    terms = [(start, find_term(words[start:])) for start in starts]
    known = [(start, term) for start, term in terms if term and (not term.is_weak or start == 0)]
    assert find_last_term(words) == (known[0] if known else None)


def test_no_key_stands_for_two_names_and_each_is_found_whole_and_at_the_end_of_words():
    names: dict[str, str] = {}
    for name, (_, keys) in _TERMS.items():
        for key in keys:
            assert names.setdefault(squeeze(key.lstrip("~")), name) == name
            term = find_term(key.lstrip("~"))
            assert term is not None
            assert (term.name, term.is_weak) == (name, key.startswith("~"))
            if not term.is_weak:
                last = find_last_term(f"iPhone 13 {key}")
                assert last is not None
                assert last[1].name == name
    assert len(names) > 150


def test_words_are_squeezed_to_their_letters_and_digits():
    assert squeeze(" Find_My-iPhone (2) Ü!") == "findmyiphone2ü"
