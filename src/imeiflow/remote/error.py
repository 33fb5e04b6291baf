"""What goes wrong between here and a server."""

from __future__ import annotations

from typing import ClassVar

from imeiflow.errors import ImeiflowError


class RemoteError(ImeiflowError):
    """{problem}"""

    def __init__(self, *, problem: str, status: int = 0, code: str = "", remedy: str = "", exit_code: int = 1) -> None:
        super().__init__(problem=problem, status=status, code=code, exit_code=exit_code, remedy=remedy)

    status: int
    code: str  #: the kind of the problem, as the last part of its type


def make_misfit(problem: str) -> RemoteError:
    """Make the error of an answer that is not as this version knows it."""
    return RemoteError(
        problem=f"the server's answer is not as expected: {problem}",
        remedy="Server and command line may be of different versions: `imeiflow --version` says which this is.",
    )


class UnreachableError(ImeiflowError):
    """{server} cannot be reached: {problem}"""

    remedy = "Nothing was sent. Look at the address, and whether the server runs."


class LostError(ImeiflowError):
    """{server} did not answer: {problem}"""

    remedy = "Look whether it runs, then ask again."


class UnknownOutcomeError(ImeiflowError):
    """It is not known whether {what} was ordered at {server}: {problem}"""

    exit_code: ClassVar[int] = 4
