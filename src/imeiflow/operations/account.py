"""Accounts as they are configured: in `config.toml`, or by variables of the environment. Contacts nobody."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from imeiflow.domain.ident import AccountName
from imeiflow.errors import ConfigurationError
from imeiflow.operations.setting import AMOUNT, CONCURRENCY, CURRENCY, FLAG, RATE, TEXT, Form, read_table
from imeiflow.providers.registry import list_providers

FORMS: Final[Mapping[str, Form]] = {
    "provider": TEXT,
    "base_url": TEXT,
    "username": TEXT,
    "key": TEXT,
    "key_env": TEXT,
    "key_file": TEXT,
    "insecure": FLAG,
    "ca_file": TEXT,
    "max_concurrency": CONCURRENCY,
    "rate": RATE,
    "max_spend_per_day": AMOUNT,
    "repeat_probe_max_price": AMOUNT,
    "currency": CURRENCY,
}
#: The variables that make a ready account, by its name, which is its provider's as well.
VARIABLES: Final[Mapping[str, tuple[str, str, str]]] = {
    "gsm-fusion": ("GSM_FUSION_BASE_URL", "GSM_FUSION_USERNAME", "GSM_FUSION_API_KEY"),
    "dhru-fusion": ("DHRU_BASE_URL", "DHRU_USERNAME", "DHRU_API_KEY"),
}
#: Providers whose accounts may stand in the environment already, though this version does not speak to them.
PLANNED: Final = frozenset({"dhru-fusion"})

_KEYS: Final = ("key", "key_env", "key_file")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings:
    """One account as it is configured. The key is shown nowhere; `rate_per_min` is in calls a minute."""

    name: AccountName
    provider: str
    base_url: str
    username: str
    key: str = field(default="", repr=False)
    key_env: str | None = None  #: the variable that holds the key instead
    key_file: str | None = None  #: the file that holds the key instead
    insecure: bool = False
    ca_file: str | None = None
    max_concurrency: int = 64
    rate_per_min: float | None = None
    max_spend_per_day: Decimal | None = None
    repeat_probe_max_price: Decimal = Decimal("1.00")
    currency: str = ""

    def read_key(self, environ: Mapping[str, str]) -> str:
        """Give the key, from wherever it stands. Raises ConfigurationError where it is missing or not private."""
        if self.key_env is not None:
            key = environ.get(self.key_env, "").strip()
            if not key:
                raise ConfigurationError(
                    setting=f"accounts.{self.name}.key_env",
                    problem=f"the variable {self.key_env} is not set",
                    remedy=f"Set {self.key_env} to the account's key.",
                )
            return key
        if self.key_file is not None:
            return read_private_file(f"accounts.{self.name}.key_file", self.key_file, "key")
        return self.key


def read_account(name: str, table: object) -> AccountSettings:
    """Read one `[accounts.NAME]`. Raises ConfigurationError naming the setting that is missing or wrong."""
    setting = f"accounts.{name}"
    values: dict[str, Any] = read_table(table, FORMS, setting=setting)
    for needed in ("provider", "base_url", "username"):
        if needed not in values:
            raise ConfigurationError(
                setting=f"{setting}.{needed}", problem="it is missing", remedy=f"Write {FORMS[needed].says}."
            )
    given = [key for key in _KEYS if key in values]
    if len(given) != 1:
        raise ConfigurationError(
            setting=f"{setting}.key",
            problem="it is missing" if not given else f"{' and '.join(given)} are both given",
            remedy="Give one of key, key_env (a variable that holds it) and key_file (a file that holds it).",
        )
    rate = values.pop("rate", None)
    return AccountSettings(name=AccountName(name), rate_per_min=rate, **values)


def find_environment_accounts(environ: Mapping[str, str]) -> list[AccountSettings]:
    """Find the accounts that variables describe. Raises ConfigurationError where only some of them are set."""
    found = []
    for name, variables in VARIABLES.items():
        values = [environ.get(variable, "").strip() for variable in variables]
        if not any(values):
            continue
        for variable, value in zip(variables, values, strict=True):
            if not value:
                others = " and ".join(other for other in variables if other != variable)
                raise ConfigurationError(
                    setting=variable,
                    problem="it is not set",
                    remedy=f"{variable} belongs with {others}: set all three in the environment or in .env.",
                )
        base_url, username, key = values
        found.append(
            AccountSettings(name=AccountName(name), provider=name, base_url=base_url, username=username, key=key)
        )
    return found


def check_account(account: AccountSettings, base_url_setting: str, provider_setting: str) -> None:
    """Raise ConfigurationError, naming the setting, where an account's server or provider cannot be meant."""
    from imeiflow.providers.contract import Login  # noqa: PLC0415 - reading help needs neither
    from imeiflow.providers.endpoint import read_base_url  # noqa: PLC0415

    if account.provider not in VARIABLES:
        known = sorted({*list_providers(), *PLANNED})
        if account.provider not in known:
            raise ConfigurationError(
                setting=provider_setting,
                problem=f"there is no provider {account.provider!r}",
                remedy=f"Providers known here: {', '.join(known)}.",
            )
    login = Login(account=account.name, base_url=account.base_url, username="", key="", insecure=account.insecure)
    try:
        read_base_url(login)
    except ConfigurationError as error:
        raise ConfigurationError(setting=base_url_setting, problem=error.data["problem"], remedy=error.remedy) from None


def read_private_file(setting: str, path_text: str, what: str) -> str:
    """Read a file that holds a key or a secret (`what`). Raises ConfigurationError where others can read it too."""
    path = Path(path_text).expanduser()
    try:
        mode = path.stat().st_mode
        found = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is no text"
        remedy = f"Name a file that holds the {what} and nothing else."
        raise ConfigurationError(setting=setting, problem=f"{path}: {problem}", remedy=remedy, path=path) from error
    if os.name == "posix" and mode & 0o077:
        raise ConfigurationError(
            setting=setting, problem=f"{path} can be read by others", remedy=f"Run `chmod 600 {path}`.", path=path
        )
    if not found:
        remedy = f"Write the {what} into it."
        raise ConfigurationError(setting=setting, problem=f"{path} is empty", remedy=remedy, path=path)
    return found
