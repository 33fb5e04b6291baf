"""Where the web application listens and how it is reached; what must not be served is refused before it starts."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from imeiflow.errors import ConfigurationError
from imeiflow.web.api.allowance import Allowance

_SHORTEST_TOKEN: Final = 16
LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """How the web application is served.

    `public_url` is what people type where a proxy stands before it; `trusted_proxy` the address whose word about the
    client's own address counts; `allowance` how often a program may ask.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    public_url: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    trusted_proxy: str | None = None
    metrics_token: str | None = field(default=None, repr=False)
    max_upload_bytes: int = 200 * 1024 * 1024
    allowance: Allowance = field(default_factory=Allowance)

    @property
    def is_local(self) -> bool:
        """Say whether only this machine can reach it."""
        return is_loopback(self.host)

    @property
    def is_secure(self) -> bool:
        """Say whether browsers reach it by TLS."""
        return self.tls_cert is not None or (self.public_url or "").startswith("https://")

    def url(self, port: int) -> str:
        """Give the address to open, once the port is known."""
        if self.public_url is not None:
            return self.public_url.rstrip("/")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls_cert else 'http'}://{host}:{port}"

    def allowed_hosts(self) -> frozenset[str] | None:
        """Give the names under which it may be asked for; None where any will do (an address that is not loopback)."""
        if self.public_url is not None:
            return frozenset({(urlsplit(self.public_url).hostname or "").lower(), *LOCAL_NAMES})
        return frozenset(LOCAL_NAMES) if self.is_local else None


def read_metrics_token(path: Path) -> str:
    """Read the token of `/metrics` from a file. Raises ConfigurationError."""
    setting = "--metrics-token-file"
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            setting=setting, problem=f"{path} cannot be read", remedy="Name a file of one line of ASCII."
        ) from error
    if len(token) < _SHORTEST_TOKEN or not token.isprintable() or " " in token:
        raise ConfigurationError(
            setting=setting,
            problem=f"what stands in {path} is no token",
            remedy=f"Write {_SHORTEST_TOKEN} or more random characters into it, such as `openssl rand -hex 32` gives.",
        )
    return token


def is_loopback(host: str) -> bool:
    """Say whether an address is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_exposure(settings: WebSettings, *, users: int) -> None:
    """Raise ConfigurationError for what would let strangers in, or passwords out."""
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise ConfigurationError(
            setting="--tls-cert", problem="it needs --tls-key, and the other way round", remedy="Name both files."
        )
    if settings.tls_cert is not None and settings.tls_key is not None:
        _check_certificate(settings.tls_cert, settings.tls_key)
    if settings.public_url is not None and not _is_site(settings.public_url):
        raise ConfigurationError(
            setting="--public-url",
            problem=f"{settings.public_url} is no address of a site",
            remedy="Write it as people type it, such as https://flow.example.com.",
        )
    if settings.trusted_proxy is not None:
        _check_proxy(settings.trusted_proxy)
    if settings.is_local:
        return
    if users == 0:
        raise ConfigurationError(
            setting=f"--host {settings.host}",
            problem="others could reach it, and nobody has a password yet",
            remedy="Make the first user: `imeiflow user create NAME --role admin`. Then start it.",
        )
    if not settings.is_secure:
        raise ConfigurationError(
            setting=f"--host {settings.host}",
            problem="others could reach it, and passwords would cross the network unencrypted",
            remedy="Give --tls-cert and --tls-key, or --public-url https://… where a proxy in front speaks TLS.",
        )


def _is_site(url: str) -> bool:
    """Say whether an address is that of a site, and of nothing in it; nor may it name somebody."""
    try:
        parts = urlsplit(url)
        has_name = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:  # of its port, or its brackets
        return False
    return (
        has_name and parts.scheme in {"http", "https"} and not (parts.path.strip("/") or parts.query or parts.fragment)
    )


def _check_certificate(certificate: Path, key: Path) -> None:
    """Raise ConfigurationError for files that no server can speak TLS with."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            setting="--tls-cert",
            problem=f"{certificate} and {key} are no certificate with its key, or cannot be read",
            remedy="Give both as PEM, the certificate with its chain, the key without a password.",
        ) from error


def _check_proxy(text: str) -> None:
    """Raise ConfigurationError for what names no proxy, and for what would believe anybody."""
    remedy = "Write the proxy's address, such as 127.0.0.1, or its network, 172.17.0.0/16; several with commas between."
    for part in text.split(","):
        try:
            network = ipaddress.ip_network(part.strip())
        except ValueError:
            problem = f"{part.strip()!r} is no address of a proxy, nor its network"
            raise ConfigurationError(setting="--trusted-proxy", problem=problem, remedy=remedy) from None
        if network.prefixlen == 0:
            problem = f"{part.strip()} is everybody: each visitor could say to come from anywhere"
            raise ConfigurationError(setting="--trusted-proxy", problem=problem, remedy=remedy)
