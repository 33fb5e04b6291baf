"""Result texts, made up from IMEI and seed: the same order has the same result for ever, in one of the known layouts.

Pure.
"""

from __future__ import annotations

import hashlib
from random import Random
from typing import assert_never

from imeiflow.simulator.behaviour import ResultLayout

_MODELS = (
    "iPhone 13 128GB Midnight",
    "iPhone 11 64GB (PRODUCT)RED",
    "iPhone 14 Pro Max 256GB Deep Purple",
    "iPhone SE (2nd Generation) 64GB White",
    "Galaxy S21 5G 128GB - Phantom Gray",
    "iPhone 12 mini 128GB Blue",
)
_CARRIERS = ("US AT&T Activation Policy", "Unlock", "T-Mobile USA", "Verizon Wireless", "O2 UK", "Télcel México")
_SENTENCES = (
    "Your phone is now unlocked. Insert an unaccepted SIM card and connect it to Wi-Fi to finish.",
    "IMEI not eligible: the device is reported lost or stolen by its carrier.",
    "Device successfully whitelisted; please restore it with iTunes.",
)
#: How one server and another call the same thing.
_ALIASES = {
    "Model": "Device Model",
    "IMEI Number": "IMEI",
    "Serial Number": "Serial",
    "Carrier": "Network",
    "SimLock": "Lock Status",
    "Find My iPhone": "FMI",
}
_MIXED = tuple(layout for layout in ResultLayout if layout is not ResultLayout.MIXED)


def make_share(seed: int, purpose: str, text: str) -> float:
    """Make a number in [0, 1) that always belongs to this text, as a coin with a memory."""
    digest = hashlib.blake2b(f"{seed}:{purpose}:{text}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 256**7


def make_result(imei: str, service: str, seed: int, layout: ResultLayout, *, is_rejected: bool) -> str:
    """Make the text of `code` for a final order; a rejected one has a reason."""
    random = Random(f"{seed}:{service}:{imei}")
    if is_rejected:
        return random.choice(("Not Found", "Rejected: IMEI is not in this network's database", "Unlock not available"))
    chosen = random.choice(_MIXED) if layout is ResultLayout.MIXED else layout
    pairs = _make_pairs(imei, random)
    match chosen:
        case ResultLayout.BR:
            text = "<br>".join(f"{key}: {value}" for key, value in pairs)
        case ResultLayout.DASH:
            text = " - ".join(f"{key}: {value}" for key, value in pairs)
        case ResultLayout.NEWLINE:
            text = "\r\n".join(f"{key}: {value}" for key, value in pairs)
        case ResultLayout.SPACE:
            text = " ".join(f"{key}: {value}" for key, value in pairs)
        case ResultLayout.HTML:
            text = "<br />\n".join(f"<b>{key}:</b>&nbsp;{_to_entities(value)}" for key, value in pairs)
        case ResultLayout.CODE:
            text = random.choice(("", "Unlock code: ", "NCK=")) + str(random.randrange(10**15, 10**16))
        case ResultLayout.SENTENCE | ResultLayout.MIXED:
            text = random.choice(_SENTENCES)
        case _:
            assert_never(chosen)
    return text


def _make_pairs(imei: str, random: Random) -> list[tuple[str, str]]:
    serial = "".join(random.choices("CDFGHJKLMNPQRTVWXY0123456789", k=12))
    second = "".join(random.choices("0123456789", k=14)) + imei[-1:]
    pairs = [
        ("Model", random.choice(_MODELS)),
        ("IMEI Number", imei),
        ("Serial Number", serial),
        ("IMEI2 Number", second),
        ("MEID Number", imei[:14]),
        ("AppleCare Eligible", random.choice(("Yes", "No"))),
        (
            "Estimated Purchase Date",
            f"20{random.randrange(18, 26)}-{random.randrange(1, 13):02}-{random.randrange(1, 29):02}",
        ),
        ("Carrier", random.choice(_CARRIERS)),
        ("Next Tether Policy", str(random.randrange(1, 2500))),
        ("Current GSMA Status", random.choice(("Clean", "Blacklisted"))),
        ("Find My iPhone", random.choice(("ON", "OFF"))),
        ("SimLock", random.choice(("Locked", "Unlocked"))),
    ]
    if random.random() < 0.3:
        pairs.insert(random.randrange(4, len(pairs)), ("Demo Unit", random.choice(("Yes", "No"))))
    if random.random() < 0.3:
        pairs = [(_ALIASES.get(key, key), value) for key, value in pairs]
    return pairs


def _to_entities(value: str) -> str:
    named = value.replace("&", "&amp;").replace("é", "&eacute;")
    return f'<span style="color:green">{named}</span>' if value in {"OFF", "Unlocked", "Clean"} else named
