"""Where an account's calls go and whom they trust: the base URL and the TLS context. Sends nothing."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterable

from yarl import URL

from imeiflow.errors import ConfigurationError
from imeiflow.providers.contract import Login


def read_base_url(login: Login, known_paths: Iterable[str] = ()) -> URL:
    """Read the account's base URL leniently: no trailing slash, none of the `known_paths`, no query, no fragment.

    Raises ConfigurationError where it is no URL, carries a user name, or is neither https nor loopback nor allowed
    by `insecure`.
    """
    text = login.base_url.strip()
    try:
        url = URL(text)
        host, _ = url.host, url.port
    except ValueError:
        raise _bad("it is not a URL") from None
    if url.user is not None or url.password is not None:
        raise _bad("it carries a user name or a password", "Write the address alone, such as https://example.com")
    if "://" not in text or url.scheme not in {"http", "https"} or not host:
        raise _bad(f"{text!r} is not a web address", "Write it with https:// in front, such as https://example.com")
    if url.scheme == "http" and not login.insecure and not is_loopback(host):
        raise _bad(
            f"http://{host} would send the key unencrypted",
            f"Write https://{host}, or set `insecure = true` for the account if you know what that means.",
        )
    path = _strip_path(url.path, known_paths)
    return url.with_query(None).with_fragment(None).with_path(path)


def is_loopback(host: str) -> bool:
    """Say whether `host` is this machine: localhost, 127.0.0.0/8 or ::1."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def build_ssl_context(login: Login) -> ssl.SSLContext:
    """Build a context that verifies the server, by the system's authorities and the account's `ca_file`.

    Raises ConfigurationError where `ca_file` cannot be read.
    """
    context = ssl.create_default_context()
    if login.ca_file:
        try:
            context.load_verify_locations(cafile=login.ca_file)
        except (OSError, ssl.SSLError) as error:
            problem = f"{login.ca_file}: {error.strerror or error}"
            raise ConfigurationError(
                setting="ca_file", problem=problem, remedy="Name a readable file with certificates in PEM form."
            ) from error
    return context


def _strip_path(path: str, known_paths: Iterable[str]) -> str:
    path = path.rstrip("/")
    for known in known_paths:
        script = known.rstrip("/")
        folder = script.rsplit("/", 1)[0]
        for ending in (script, folder):
            if ending and path.lower().endswith(ending.lower()):
                return path[: -len(ending)].rstrip("/") or "/"
    return path or "/"


def _bad(problem: str, remedy: str = "Write it like https://example.com") -> ConfigurationError:
    return ConfigurationError(setting="base_url", problem=problem, remedy=remedy)
