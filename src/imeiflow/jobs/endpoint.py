"""Where messages may be sent. Sends nothing.

An address is the word of whoever owns `config.toml`. It may be in a private network, where receivers live. What no
receiver has is refused even where a name leads there: link-local addresses (a cloud's metadata service is at one),
multicast and unspecified ones.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from yarl import URL

from imeiflow.domain.notice import Told
from imeiflow.errors import ConfigurationError
from imeiflow.providers.endpoint import is_loopback


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One webhook: where it is, what it wants to hear, and the secret that signs."""

    name: str
    url: str = field(repr=False)  #: some services put a password into it
    secret: str = field(repr=False)
    events: frozenset[Told]
    insecure: bool = False
    ca_file: str | None = None


def check_url(text: str, *, insecure: bool, setting: str) -> URL:
    """Read an address. Raises ConfigurationError unless it is https, or loopback, or `insecure` allows it."""
    remedy = "Write it like https://shop.example/imeiflow"
    try:
        url = URL(text.strip())
        host = url.host
    except ValueError:
        raise ConfigurationError(setting=setting, problem="it is not a URL", remedy=remedy) from None
    if url.scheme not in {"http", "https"} or not host:
        raise ConfigurationError(setting=setting, problem="it is not a web address", remedy=remedy)
    if url.scheme == "http" and not insecure and not is_loopback(host):
        raise ConfigurationError(
            setting=setting,
            problem=f"http://{host} would send results unencrypted",
            remedy="Write https://, or set `insecure = true` for it if you know what that means.",
        )
    if is_forbidden(host):
        raise ConfigurationError(setting=setting, problem=f"{host} is an address that no receiver has", remedy=remedy)
    return url


def is_forbidden(address: str) -> bool:
    """Say whether an address is one that is never sent to; a name is not."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    found = mapped or found
    return found.is_link_local or found.is_multicast or found.is_unspecified
