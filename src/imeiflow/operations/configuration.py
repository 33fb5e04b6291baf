"""The settings that a start finds: IMEIFLOW_HOME, `config.toml`, the environment, `.env`. Contacts nobody.

Whatever is unknown or malformed stops the start: a misspelt limit that is ignored costs money.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from imeiflow.dispatch.breaker import BreakerPolicy
from imeiflow.dispatch.setting import DispatchSettings
from imeiflow.domain.decision import RetryPolicy
from imeiflow.domain.doubt import LASTS
from imeiflow.domain.ident import AccountName
from imeiflow.errors import ConfigurationError
from imeiflow.operations.account import FORMS as ACCOUNT_FORMS
from imeiflow.operations.account import (
    PLANNED,
    VARIABLES,
    AccountSettings,
    check_account,
    find_environment_accounts,
    read_account,
)
from imeiflow.operations.setting import COUNT, SECONDS, SHARE, Form, read_table
from imeiflow.operations.webhook import FORMS as WEBHOOK_FORMS
from imeiflow.operations.webhook import WebhookSettings, read_webhooks
from imeiflow.providers.contract import Login, Timeouts

HOME_VARIABLE: Final = "IMEIFLOW_HOME"
DATABASE_VARIABLE: Final = "IMEIFLOW_DATABASE_URL"
#: What is for commands that ask a server; here they are only known, so that they are no mistake.
SERVER_VARIABLE: Final = "IMEIFLOW_SERVER"
TOKEN_VARIABLE: Final = "IMEIFLOW_TOKEN"  # noqa: S105 - the name of a variable
_VARIABLES: Final = (HOME_VARIABLE, DATABASE_VARIABLE, SERVER_VARIABLE, TOKEN_VARIABLE)
CONFIG_NAME: Final = "config.toml"
LEDGER_NAME: Final = "ledger.sqlite"

PRICE_MAX_AGE_S: Final = 300.0

#: The settings of `[dispatch]`.
DISPATCH_FORMS: Final[Mapping[str, Form]] = {
    "doubt_share": SHARE,
    "doubt_window": COUNT,
    "refusal_share": SHARE,
    "refusal_window": COUNT,
    "max_attempts": COUNT,
    "connect_timeout_s": SECONDS,
    "pool_timeout_s": SECONDS,
    "read_timeout_s": SECONDS,
    "total_timeout_s": SECONDS,
    "evidence_days": COUNT,
    "repeat_refusal_days": COUNT,
    "price_max_age_s": SECONDS,
}
_TABLES: Final = ("accounts", "dispatch", "webhooks")
#: How each table is written, with the names of its settings.
_PLACES: Final[Mapping[str, Collection[str]]] = {
    "[accounts.NAME]": ACCOUNT_FORMS,
    "[dispatch]": DISPATCH_FORMS,
    "[[webhooks]]": WEBHOOK_FORMS,
}
_BREAKER: Final = ("doubt_share", "doubt_window", "refusal_share", "refusal_window")


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """All settings of one start. Keys are in no repr."""

    home: Path
    ledger: Path
    accounts: Mapping[str, AccountSettings]
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeouts: Timeouts = field(default_factory=Timeouts)
    evidence_days: int = 180
    repeat_refusal_days: int = LASTS.days
    price_max_age_s: float = PRICE_MAX_AGE_S  #: an older price list is fetched again before anything is sent
    webhooks: tuple[WebhookSettings, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    def choose_account(self, name: str | None) -> AccountSettings:
        """Give the account called `name`, or the only one. Raises ConfigurationError where that says nothing."""
        names = ", ".join(sorted(self.accounts))
        if name is not None:
            if name not in self.accounts:
                raise ConfigurationError(
                    setting=f"account {name}",
                    problem="there is no account of this name",
                    remedy=f"Accounts: {names}." if names else _NO_ACCOUNT,
                )
            return self.accounts[name]
        usable = [account for account in self.accounts.values() if account.provider not in PLANNED]
        usable = usable or list(self.accounts.values())
        if not usable:
            raise ConfigurationError(setting="accounts", problem="no account is configured", remedy=_NO_ACCOUNT)
        if len(usable) > 1:
            raise ConfigurationError(
                setting="--account",
                problem=f"there are {len(usable)} accounts",
                remedy=f"Say which: {', '.join(f'--account {account.name}' for account in usable)}.",
            )
        return usable[0]

    def login(self, account: AccountSettings) -> Login:
        """Give what a provider needs to open a connection; reads the key."""
        return Login(
            account=account.name,
            base_url=account.base_url,
            username=account.username,
            key=account.read_key(self.environ),
            insecure=account.insecure,
            ca_file=account.ca_file,
        )

    def dispatch(self, account: AccountSettings) -> DispatchSettings:
        """Give the ceilings and limits of an account's lane."""
        return DispatchSettings(
            max_concurrency=account.max_concurrency,
            rate_per_min=account.rate_per_min,
            max_spend_per_day=account.max_spend_per_day,
            repeat_probe_max_price=account.repeat_probe_max_price,
            repeat_refusal_lasts=timedelta(days=self.repeat_refusal_days),
            price_max_age_s=self.price_max_age_s,
            currency=account.currency,
            retry=self.retry,
            breaker=self.breaker,
        )

    @property
    def probe_limits(self) -> dict[AccountName, Decimal]:
        """Give what a repeat probe may cost, by account."""
        return {one.name: one.repeat_probe_max_price for one in self.accounts.values()}

    def allow_probe(self, name: AccountName, amount: Decimal) -> Configuration:
        """Give the same settings, but for what a repeat probe of one account may cost."""
        account = replace(self.choose_account(name), repeat_probe_max_price=amount)
        return replace(self, accounts={**self.accounts, name: account})

    def secrets(self) -> list[str]:
        """List every key that can be known here, for whoever has to blank them."""
        found = {account.key for account in self.accounts.values()}
        for account in self.accounts.values():
            try:
                found.add(account.read_key(self.environ))
            except ConfigurationError:
                continue
        for webhook in self.webhooks:
            with suppress(ConfigurationError):
                found.add(webhook.read_secret(self.environ))
        return sorted(found - {""})


_NO_ACCOUNT: Final = (
    "Set GSM_FUSION_BASE_URL, GSM_FUSION_USERNAME and GSM_FUSION_API_KEY in the environment or in .env, "
    "or write an [accounts.NAME] into config.toml."
)


def load_configuration(
    environ: Mapping[str, str] | None = None, directory: Path | None = None, *, is_login_elsewhere: bool = False
) -> Configuration:
    """Read all settings; `environ` and `directory` (where `.env` is looked for) default to the process's own.

    `is_login_elsewhere`: whoever asks may allow the server of the environment's account what the environment cannot.
    Raises ConfigurationError, naming the setting and the accepted form.
    """
    environ = dict(os.environ if environ is None else environ)
    _check_variables(environ)
    home = find_home(environ)
    document = _read_file(home / CONFIG_NAME)
    _check_places(document)
    variables = {**_read_dotenv((directory or Path.cwd()) / ".env"), **environ}
    dispatch = read_table(document.get("dispatch", {}), DISPATCH_FORMS, setting="dispatch")
    timeouts = {
        f"{name}_s": dispatch[f"{name}_timeout_s"]
        for name in ("connect", "pool", "read", "total")
        if f"{name}_timeout_s" in dispatch
    }
    return Configuration(
        home=home,
        ledger=_find_ledger(environ, home),
        accounts=_read_accounts(document.get("accounts", {}), variables, is_login_elsewhere=is_login_elsewhere),
        breaker=BreakerPolicy(**{name: dispatch[name] for name in _BREAKER if name in dispatch}),
        retry=RetryPolicy(dispatch.get("max_attempts", RetryPolicy().max_attempts)),
        timeouts=Timeouts(**timeouts),
        evidence_days=dispatch.get("evidence_days", 180),
        repeat_refusal_days=dispatch.get("repeat_refusal_days", LASTS.days),
        price_max_age_s=dispatch.get("price_max_age_s", PRICE_MAX_AGE_S),
        webhooks=read_webhooks(document.get("webhooks", [])),
        environ=variables,
    )


def open_log_directory(home: Path) -> Path:
    """Create and give the directory of logs, for the owner alone."""
    directory = home / "log"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory


def _check_variables(environ: Mapping[str, str]) -> None:
    for name in environ:
        if name.startswith("IMEIFLOW_") and name not in _VARIABLES:
            raise ConfigurationError(
                setting=name,
                problem="there is no such setting",
                remedy=f"Variables: {', '.join(_VARIABLES)}.",
            )


def find_home(environ: Mapping[str, str]) -> Path:
    """Give the folder of ledger and settings."""
    given = environ.get(HOME_VARIABLE, "").strip()
    if given:
        return Path(given).expanduser().resolve()
    from platformdirs import user_data_path  # noqa: PLC0415 - needed only here, and not cheap

    return user_data_path("imeiflow", appauthor=False)


def _check_places(document: Mapping[str, Any]) -> None:
    """Raise ConfigurationError for what stands outside the tables that there are, or in the wrong one of them."""
    for name in document:
        if name not in _TABLES:
            raise ConfigurationError(
                setting=name,
                problem="there is no such setting",
                remedy=_say_place(name, ()) or f"Tables: {', '.join(_PLACES)}.",
            )
    accounts, dispatch = document.get("accounts"), document.get("dispatch")
    tables = [(f"accounts.{name}", "[accounts.NAME]", table) for name, table in _items(accounts)]
    for setting, own, table in [*tables, ("dispatch", "[dispatch]", dispatch)]:
        for name, _ in _items(table):
            remedy = _say_place(name, _PLACES[own])
            if remedy:
                raise ConfigurationError(setting=f"{setting}.{name}", problem="there is no such setting", remedy=remedy)


def _items(table: object) -> list[tuple[str, Any]]:
    return list(table.items()) if isinstance(table, Mapping) else []


def _say_place(name: str, known: Collection[str]) -> str:
    """Say in which table a setting belongs; empty where it is `known` where it stands, or belongs nowhere."""
    places = [place for place, names in _PLACES.items() if name in names]
    return "" if name in known or not places else f"Write {name} under {' or '.join(places)}."


def _find_ledger(environ: Mapping[str, str], home: Path) -> Path:
    given = environ.get(DATABASE_VARIABLE, "").strip()
    if not given:
        return home / LEDGER_NAME
    remedy = "Write a path, or a URL such as sqlite:////var/lib/imeiflow/ledger.sqlite"
    if "://" in given:
        scheme, _, rest = given.partition("://")
        if not scheme.startswith("sqlite"):
            problem = f"this version keeps its ledger in SQLite; {scheme.split('+')[0]} is not supported yet"
            raise ConfigurationError(setting=DATABASE_VARIABLE, problem=problem, remedy=remedy)
        given = rest.split("?")[0].removeprefix("/")
    if given in {"", ":memory:"}:
        problem = "a ledger must be a file: nothing else survives a crash"
        raise ConfigurationError(setting=DATABASE_VARIABLE, problem=problem, remedy=remedy)
    return Path(given).expanduser().resolve()


def _read_file(path: Path) -> dict[str, Any]:
    try:
        mode = path.stat().st_mode
        document = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # The parser names the place and quotes at most a character: no key comes along.
        raise ConfigurationError(
            setting=str(path), problem=f"it is no TOML: {error}", remedy="Correct that line; see the manual's example."
        ) from None
    except OSError as error:
        raise ConfigurationError(
            setting=str(path), problem=str(error.strerror), remedy="Allow your user to read it."
        ) from error
    if os.name == "posix" and mode & 0o077 and _holds_key(document):
        raise ConfigurationError(
            setting=str(path),
            problem="it holds a key and can be read by others",
            remedy=f"Run `chmod 600 {path}`, and change the key if others use this machine.",
        )
    return document


def _holds_key(document: Mapping[str, Any]) -> bool:
    accounts = document.get("accounts")
    tables = accounts.values() if isinstance(accounts, Mapping) else ()
    return any(isinstance(table, Mapping) and "key" in table for table in tables)


def _read_dotenv(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    from dotenv.parser import parse_stream  # noqa: PLC0415 - most starts have no .env

    # Not interpolated: a key may hold a dollar sign.
    try:
        with path.open(encoding="utf-8") as file:
            lines = list(parse_stream(file))
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise ConfigurationError(
            setting=str(path), problem=str(problem), remedy="Save it as UTF-8, and allow your user to read it."
        ) from None
    for line in lines:
        if line.error:  # not quoted: it may hold a key
            raise ConfigurationError(
                setting=f"{path}, line {line.original.line}",
                problem="it is no setting",
                remedy="Write NAME=value, with quotes around a value that holds spaces or #.",
            )
    return {line.key: line.value for line in lines if line.key is not None and line.value is not None}


def _read_accounts(
    tables: object, environ: Mapping[str, str], *, is_login_elsewhere: bool
) -> dict[str, AccountSettings]:
    if not isinstance(tables, Mapping):
        raise ConfigurationError(setting="accounts", problem="it is not a table", remedy="Write [accounts.NAME].")
    accounts = {name: read_account(name, table) for name, table in tables.items()}
    for account in accounts.values():
        check_account(account, f"accounts.{account.name}.base_url", f"accounts.{account.name}.provider")
    for found in find_environment_accounts(environ):
        variable = VARIABLES[found.provider][0]
        if not is_login_elsewhere and found.name not in accounts:  # there `insecure` may be said
            check_account(found, variable, variable)
        known = accounts.get(found.name)
        if known is None:
            accounts[found.name] = found
        elif known.provider != found.provider:
            raise ConfigurationError(
                setting=f"accounts.{found.name}",
                problem=f"the environment describes an account of this name with provider {found.provider}",
                remedy="Give the account in config.toml another name.",
            )
        else:
            accounts[found.name] = replace(
                known, base_url=found.base_url, username=found.username, key=found.key, key_env=None, key_file=None
            )
    return accounts
