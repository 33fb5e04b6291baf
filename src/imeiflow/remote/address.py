"""Which server is meant, and the token for it: https unless it is this machine, and the token from the environment."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from imeiflow.errors import ConfigurationError
from imeiflow.operations.configuration import SERVER_VARIABLE, TOKEN_VARIABLE

_FORM: Final = "Write it as https://flow.example.com, or http://127.0.0.1:8080 for a server on this machine."


@dataclass(frozen=True, slots=True)
class Server:
    """A server's address, `path` in front of /api, and the token to show it. The token is in no repr."""

    scheme: str
    host: str
    port: int
    path: str
    token: str = field(repr=False)

    @property
    def giver(self) -> str:
        """Tell a token from others, without giving it away."""
        return hashlib.sha256(self.token.encode()).hexdigest()[:16]

    @property
    def url(self) -> str:
        """Give the address as it would be typed."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = {"https": 443, "http": 80}[self.scheme]
        return f"{self.scheme}://{host}{'' if self.port == usual else f':{self.port}'}{self.path}"


def read_server(text: str, environ: Mapping[str, str], *, setting: str = SERVER_VARIABLE) -> Server:
    """Read a server's address, and its token from the environment. Raises ConfigurationError."""
    try:
        parts = urlsplit(text.strip())
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise ConfigurationError(setting=setting, problem="it is no address", remedy=_FORM) from None
    if parts.scheme not in {"https", "http"} or not host or parts.query or parts.fragment:
        raise ConfigurationError(setting=setting, problem="it is no address of a server", remedy=_FORM)
    if parts.username is not None or parts.password is not None:
        remedy = f"Write the address alone; the token belongs into {TOKEN_VARIABLE}."
        raise ConfigurationError(setting=setting, problem="it carries a user name or a password", remedy=remedy)
    if parts.scheme == "http" and not _is_loopback(host):
        problem = f"http://{host} would send the token, and your lists, unencrypted"
        raise ConfigurationError(setting=setting, problem=problem, remedy=f"Write https://{host}.")
    token = environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        remedy = f"Make one there with `imeiflow token create NAME --scope order`, and set {TOKEN_VARIABLE} to it."
        raise ConfigurationError(setting=TOKEN_VARIABLE, problem="there is no token for the server", remedy=remedy)
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError(
            setting=TOKEN_VARIABLE, problem="what it holds is no token", remedy="Copy it whole, without spaces."
        )
    return Server(parts.scheme, host, port or {"https": 443, "http": 80}[parts.scheme], parts.path.rstrip("/"), token)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
