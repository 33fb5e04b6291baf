"""The keys that results are known to use, and the one name and kind that each stands for.

A key is compared without case, spaces and punctuation: `Find My iPhone`, `FIND_MY_IPHONE` and `find-my-iphone` are one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from imeiflow.results.result import Kind

LONGEST_KEY: Final = 48


@dataclass(frozen=True, slots=True)
class Term:
    """What a known key stands for. A weak one is too common a word to be a key in the midst of a line."""

    name: str
    kind: Kind
    is_weak: bool = False


#: Name, kind and keys of every term, in the order of an export's columns. A key with a `~` before it is weak.
_TABLE: Final = """
model text: Model, Device Model, Model Name, Device Name, Product Name, Phone Model, Handset Model, Model Info,
    ~Device, ~Product, ~Handset
model_description text: Model Description, Device Description, Product Description, ~Description
model_number text: Model Number, Model No, Part Number, Part No, MPN
manufacturer text: Manufacturer, Brand Name, ~Brand, ~Make
storage text: Storage Capacity, Internal Storage, ~Storage, ~Capacity, ~Memory
color text: Device Color, Device Colour, ~Color, ~Colour
imei imei: IMEI, IMEI Number, IMEI No, IMEI Nr, IMEI Num, IMEI1, IMEI1 Number, IMEI Number 1, IMEI1 No, First IMEI,
    Primary IMEI, IMEI/MEID
imei2 imei: IMEI2, IMEI2 Number, IMEI Number 2, IMEI2 No, IMEI No 2, IMEI Number2, Second IMEI, Secondary IMEI, 2nd
    IMEI, eSIM IMEI
serial serial: Serial, Serial Number, Serial No, Serial Nr, Serial Num, S/N, Device Serial Number
meid meid: MEID, MEID Number, MEID No
eid number: EID, EID Number
iccid number: ICCID, ICCID Number, SIM ICCID
carrier text: Carrier, Carrier Name, Network, Network Name, Network Carrier, Original Carrier, Initial Carrier,
    Locked Carrier, SIM Carrier, Network Operator, ~Operator
country text: Purchase Country, Country of Purchase, Purchased Country, Sold in Country, Country, ~Region, ~Sold In
simlock lock: SimLock, Sim Lock, SimLock Status, Lock Status, Network Lock, Network Lock Status, Carrier Lock,
    Carrier Lock Status, SIM Status, SIM Card Lock, Unlock Status, Unlocked Status, ~Lock, ~Locked, ~Unlocked
tether_policy number: Next Tether Policy, Next Tether Policy ID, Next Tether Policy Number, Next Tether Activation
    Policy, Next Tether, Tether Policy, Next Activation Policy ID
activation_policy text: Activation Policy, Applied Activation Policy, Initial Activation Policy, Next Activation
    Policy, Activation Policy Description, Applied Policy
find_my switch: Find My iPhone, Find My iPhone Status, Find My, Find My Status, FMI, FMI Status, FMIP, FMIP Status,
    Find My iPad, Find My Device, Find My Phone, Find My Mac
activation_lock switch: Activation Lock, Activation Lock Status, iCloud Lock, iCloud Lock Status
icloud_status text: iCloud Status, iCloud
mdm switch: MDM, MDM Status, MDM Lock, MDM Lock Status
gsma_status listing: Current GSMA Status, GSMA Status, GSMA, GSMA Blacklist Status, GSMA Blacklisted, Blacklist
    Status, Blacklisted Status, Blacklisted, Blacklist
esn_status text: ESN Status, ESN
applecare answer: AppleCare Eligible, AppleCare Eligibility, AppleCare, Apple Care
purchase_date date: Estimated Purchase Date, Purchase Date, Est Purchase Date, Date of Purchase, Estimated Date of
    Purchase, Purchased On
activation_date date: Activation Date, First Activation Date, Initial Activation Date
activation_status text: Activation Status, Device Activated, ~Activated
manufacture_date date: Manufacture Date, Manufacturing Date, Production Date
warranty_status text: Warranty Status, Apple Warranty, Limited Warranty, ~Warranty
warranty_end date: Warranty End Date, Warranty Expiration Date, Warranty Expires, Coverage End Date, Estimated
    Expiration Date
repair_coverage text: Repairs and Service Coverage, Repair Coverage, Coverage Status
technical_support text: Telephone Technical Support, Technical Support
valid_purchase_date answer: Valid Purchase Date
registered answer: Registered Device, Device Registered, ~Registered
replaced answer: Replaced Device, Replaced by Apple, Device Replaced, ~Replaced
refurbished answer: Refurbished Device, Device Refurbished, ~Refurbished
loaner answer: Loaner Device, ~Loaner
demo_unit answer: Demo Unit, Demo Device
unlock_code code: Unlock Code, Unlocking Code, Network Code, Network Unlock Code, SIM Unlock Code, NCK, NCK Code,
    Unlock PIN, Network Unlock, Network PIN, ~Code, ~Codes, ~Unlock
unfreeze_code code: Unfreeze Code, Defreeze Code, Unfreeze, Defreeze, Unblock Code, ~Freeze
master_code code: Master Code, MCK, MCK Code
subset_code code: Subset Code, Network Subset Code, NSCK, NSCK Code
provider_code code: Service Provider Code, Provider Code, SPCK, SPCK Code, SPCK/SP
corporate_code code: Corporate Code, CCK, CCK Code
status text: Order Status, Result Status, ~Status
reason text: Reject Reason, Rejection Reason, ~Rejected, ~Reason, ~Error
note text: ~Note, ~Notes, ~Remark, ~Remarks, ~Comment, ~Message
"""


def _read_table() -> dict[str, tuple[Kind, list[str]]]:
    rows = (row.split(": ") for row in _TABLE.replace("\n    ", " ").strip().splitlines())
    return {head.split(" ")[0]: (Kind(head.split(" ")[1]), keys.split(", ")) for head, keys in rows}


_TERMS: Final = _read_table()

#: The normalised names, in the order of an export's columns, with their kinds.
NAMES: Final = {name: kind for name, (kind, _) in _TERMS.items()}

_NOISE: Final = re.compile(r"[\W_]+")


def squeeze(words: str) -> str:
    """Leave of some words only letters and digits, in lower case."""
    if words.isascii() and words.isalnum():
        return words.lower()
    return _NOISE.sub("", words.casefold())


def _index_keys() -> dict[str, Term]:
    index: dict[str, Term] = {}
    for name, (kind, keys) in _TERMS.items():
        index[squeeze(name)] = Term(name, kind, is_weak=f"~{name}" in map(str.casefold, keys))
        for key in keys:
            index[squeeze(key)] = Term(name, kind, is_weak=key.startswith("~"))
    return index


_KEYS: Final = _index_keys()
#: What known keys end in, letter by letter: words in front of one of them are no part of a key.
_ENDINGS: Final = frozenset(key[start:] for key in _KEYS for start in range(len(key)))
#: Words that a known key can end in; most words in front of a colon are none of them.
_LAST_WORDS: Final = frozenset(_KEYS) | {squeeze(key.rpartition(" ")[2]) for _, keys in _TERMS.values() for key in keys}
_MOST_WORDS: Final = 7


def find_term(key: str) -> Term | None:
    """Find what a key stands for; None for an unknown one."""
    return _look_up(key) if key and len(key) <= LONGEST_KEY and key[0].isalnum() else None


@lru_cache(maxsize=4096)
def _look_up(key: str) -> Term | None:
    return _KEYS.get(squeeze(key))


_squeeze_word: Final = lru_cache(maxsize=4096)(squeeze)


def find_last_term(words: str) -> tuple[int, Term] | None:
    """Find the longest known key that some words end in, and where it begins; weak ones only if they are all of it.

    Looks at no more than the longest key's length.
    """
    floor = max(0, len(words) - LONGEST_KEY)
    parts = words[floor:].rsplit(" ", _MOST_WORDS)
    if floor or len(parts) > _MOST_WORDS:
        parts[0] = ""  # it begins further in front, or is several words
    found: tuple[int, Term] | None = None
    start, tail = len(words) + 1, ""
    for word in reversed(parts):
        start -= len(word) + 1
        is_last = not tail
        tail = _squeeze_word(word) + tail
        if tail not in _ENDINGS or (is_last and not (tail in _LAST_WORDS or word.isdigit())):
            break
        if (term := _KEYS.get(tail)) and word[:1].isalnum() and (not term.is_weak or start == 0):
            found = start, term
    return found
