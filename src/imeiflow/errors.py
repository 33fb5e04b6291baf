"""The one tree of errors. Nothing here imports anything of imeiflow.

    ImeiflowError
    ├── ConfigurationError      a setting, an account or a file of settings is wrong
    ├── UsageError              the user asked for something that cannot be asked for
    │   ├── UnknownJobError
    │   └── JobStateError       the job is not in a state that allows it
    ├── InputError              a list of IMEIs cannot be read
    ├── LedgerError             the ledger cannot be opened, read or written
    │   ├── LedgerBusyError     another program holds it
    │   ├── LedgerFullError     no room on the disk
    │   ├── GuardError          a change found another state than it expected
    │   │   └── TakenReferenceError
    │   └── FencedError         the writer has lost its lane to another process
    ├── LaneBusyError           another process owns the lane
    └── ProviderError           a provider's answer to a read-only call is of no use

An error carries data; its message is its class docstring, filled from that data. `remedy` says what the
user can do about it. `exit_code` is what the command line ends with. `path` among the data is where a file of this
machine lies: whoever is at another one is told only its name (`told`, `told_remedy`).
"""

from __future__ import annotations

import inspect
from pathlib import PurePath
from typing import ClassVar


class ImeiflowError(Exception):
    """Something went wrong."""

    exit_code: ClassVar[int] = 1
    remedy: str = ""

    def __init__(self, *, remedy: str | None = None, **data: object) -> None:
        self.data = data
        if remedy is not None:
            self.remedy = remedy
        for name, value in data.items():
            setattr(self, name, value)
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """Give the class docstring's first paragraph with the error's data filled in."""
        text = inspect.cleandoc(type(self).__doc__ or "").split("\n\n")[0].replace("\n", " ")
        return text.format(**self.data)

    @property
    def told(self) -> str:
        """Give the message without telling where files of this machine lie."""
        return self.name_file(self.message)

    @property
    def told_remedy(self) -> str:
        """Give the remedy without telling where files of this machine lie."""
        return self.name_file(self.remedy)

    def name_file(self, text: str) -> str:
        """Leave of this error's path only the file's name in a text."""
        path = str(self.data.get("path", ""))
        return text.replace(path, PurePath(path).name) if path else text

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.remedy, self.data))


def _rebuild(kind: type[ImeiflowError], remedy: str, data: dict[str, object]) -> ImeiflowError:
    return kind(remedy=remedy, **data)


class ConfigurationError(ImeiflowError):
    """{setting}: {problem}"""


class UsageError(ImeiflowError):
    """{problem}"""

    exit_code = 2


class UnknownJobError(UsageError):
    """There is no job {job}."""

    remedy = "`imeiflow jobs` lists the jobs of this ledger."


class JobStateError(UsageError):
    """Job {job} is {state}: it cannot be {wanted}."""


class InputError(ImeiflowError):
    """{source}: {problem}"""

    exit_code = 2


class LedgerError(ImeiflowError):
    """The ledger {path}: {problem}"""


class LedgerBusyError(LedgerError):
    """The ledger {path} is locked by another program."""

    remedy = "Close the program that holds it; nothing was sent meanwhile and nothing is lost."


class LedgerFullError(LedgerError):
    """There is no room left for the ledger {path}."""

    remedy = "Free some space on its disk; then resume the job, or order anew where none was begun: nothing is lost."


class GuardError(LedgerError):
    """The ledger {path}: {problem}"""


class TakenReferenceError(GuardError):
    """Reference {reference} is that of line {line} of job {job}."""

    exit_code = 2
    remedy = "A reference belongs to one order: look at the provider's order page once more."


class FencedError(LedgerError):
    """The lane of account {account} now belongs to another process: this one may place nothing more."""

    def __init__(self, *, account: str, path: str = "", remedy: str | None = None) -> None:
        super().__init__(account=account, path=path, remedy=remedy)


class LaneBusyError(ImeiflowError):
    """The lane of account {account} is held by {owner}."""

    remedy = "Wait for it, or pause its job with `imeiflow pause JOB`."


class ProviderError(ImeiflowError):
    """{account}: {problem}"""


def name_cause(error: Exception) -> str:
    """Say, as the reason of a pause, what stopped the work; of an error of ours its name alone: it may hold a key."""
    return error.told.rstrip(".") if isinstance(error, ImeiflowError) else f"an error of ours: {type(error).__name__}"
