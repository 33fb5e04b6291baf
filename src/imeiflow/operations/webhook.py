"""Webhooks as they are configured, in `config.toml`. Contacts nobody; shows no secret and no whole address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from imeiflow.domain.notice import Told
from imeiflow.errors import ConfigurationError
from imeiflow.operations.account import read_private_file
from imeiflow.operations.setting import FLAG, TEXT, Form, read_table

if TYPE_CHECKING:
    from imeiflow.jobs.endpoint import Endpoint

_SHORTEST_SECRET: Final = 16


def _read_events(value: object) -> frozenset[Told]:
    if not isinstance(value, list) or not value:
        raise ValueError
    return frozenset(Told(one) for one in value)


_NAMES: Final = ", ".join(f'"{event}"' for event in Told)
EVENTS: Final = Form(_read_events, f"a list of some of {_NAMES}")

FORMS: Final[Mapping[str, Form]] = {
    "url": TEXT,
    "name": TEXT,
    "secret_env": TEXT,
    "secret_file": TEXT,
    "events": EVENTS,
    "insecure": FLAG,
    "ca_file": TEXT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """One `[[webhooks]]` as it is configured. Neither address nor secret is shown."""

    name: str
    url: str = field(repr=False)
    secret_env: str | None = None
    secret_file: str | None = None
    events: frozenset[Told] = frozenset(Told)
    insecure: bool = False
    ca_file: str | None = None

    @property
    def shown_url(self) -> str:
        """Give scheme and host; what follows may be a password."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}" + ("/…" if parts.path.strip("/") or parts.query else "")

    def endpoint(self, environ: Mapping[str, str]) -> Endpoint:
        """Give what is needed to send to it; reads the secret. Raises ConfigurationError."""
        from imeiflow.jobs.endpoint import Endpoint  # noqa: PLC0415 - not cheap, and few have webhooks

        return Endpoint(
            name=self.name,
            url=self.url,
            secret=self.read_secret(environ),
            events=self.events,
            insecure=self.insecure,
            ca_file=self.ca_file,
        )

    def read_secret(self, environ: Mapping[str, str]) -> str:
        """Give the secret, from wherever it stands. Raises ConfigurationError where it is missing or not private."""
        setting = f"webhooks.{self.name}"
        if self.secret_env is not None:
            secret = environ.get(self.secret_env, "").strip()
            if not secret:
                raise ConfigurationError(
                    setting=f"{setting}.secret_env",
                    problem=f"the variable {self.secret_env} is not set",
                    remedy=f"Set {self.secret_env} to the secret that the receiver knows.",
                )
        else:
            secret = read_private_file(f"{setting}.secret_file", self.secret_file or "", "secret")
        if len(secret) < _SHORTEST_SECRET:
            raise ConfigurationError(
                setting=setting,
                problem=f"its secret has fewer than {_SHORTEST_SECRET} characters: it could be guessed",
                remedy="Make one, for instance with `openssl rand -hex 32`, and give it to the receiver as well.",
            )
        return secret


def read_webhooks(tables: object) -> tuple[WebhookSettings, ...]:
    """Read all `[[webhooks]]`. Raises ConfigurationError naming the setting that is missing or wrong."""
    if not isinstance(tables, list):
        raise ConfigurationError(
            setting="webhooks", problem="it is not a list of tables", remedy="Write [[webhooks]], with two brackets."
        )
    found: dict[str, WebhookSettings] = {}
    for number, table in enumerate(tables, start=1):
        one = _read_webhook(table, f"webhooks[{number}]")
        if one.name in found:
            raise ConfigurationError(
                setting=f"webhooks[{number}].name",
                problem=f"there are two webhooks called {one.name}",
                remedy="Give each of them a name of its own.",
            )
        found[one.name] = one
    return tuple(found.values())


def _read_webhook(table: object, setting: str) -> WebhookSettings:
    from imeiflow.jobs.endpoint import check_url  # noqa: PLC0415 - not cheap, and few have webhooks

    values: dict[str, Any] = read_table(table, FORMS, setting=setting)
    if "url" not in values:
        raise ConfigurationError(setting=f"{setting}.url", problem="it is missing", remedy=f"Write {TEXT.says}.")
    if ("secret_env" in values) == ("secret_file" in values):
        raise ConfigurationError(
            setting=f"{setting}.secret_env",
            problem="it is missing" if "secret_env" not in values else "secret_env and secret_file are both given",
            remedy="Give one of secret_env (a variable that holds the secret) and secret_file (a file that holds it).",
        )
    url = check_url(values["url"], insecure=values.get("insecure", False), setting=f"{setting}.url")
    return WebhookSettings(**{"name": url.host, **values})
