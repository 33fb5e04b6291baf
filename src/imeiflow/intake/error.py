"""Why a list of IMEIs cannot be read. A single bad row is no error: it is a row with a flaw.

InputError
├── MissingInputError       there is no such file, or it may not be read
├── EmptyInputError         it holds no rows
├── FormatError             it is no list of IMEIs in a format that is read here
│   └── ProtectedInputError it is encrypted
├── ColumnError             the column of IMEIs cannot be told
├── RowError                one row makes all that follow uncertain
├── ChangedInputError       it was changed between two readings
└── UncopiedInputError      it cannot be kept while it is read
"""

from __future__ import annotations

from imeiflow.errors import InputError


class MissingInputError(InputError):
    """{source}: {problem}."""


class EmptyInputError(InputError):
    """{source}: {problem}."""

    remedy = "Check that this is the right file, and that it was saved."


class FormatError(InputError):
    """{source}: {problem}."""

    remedy = "Save it as CSV (UTF-8), XLSX, or plain text with one IMEI a line."


class ProtectedInputError(FormatError):
    """{source}: {problem}."""

    remedy = "Open it with its password, save it without one, and try again."


class ColumnError(InputError):
    """{source}: {problem}."""


class RowError(InputError):
    """{source}, line {line}: {problem}."""

    line: int


class ChangedInputError(InputError):
    """{source}: the file was changed while it was being read."""

    exit_code = 1  #: what was asked for was right, here and below
    remedy = "Wait until it is saved, then start again: nothing was sent from it."


class UncopiedInputError(InputError):
    """{source}: cannot be copied to a temporary file: {problem}"""

    exit_code = 1
    remedy = "Make room on the disk of temporary files."
