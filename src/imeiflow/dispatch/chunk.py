"""How many orders a call carries, for one service. Learned with a canary, so that a wrong guess costs one call.

Pure.

    pair       one call of two (the canary), single calls beside it
    full       one call of the full size, calls of the largest proved size beside it
    narrowing  one call between the largest proved and the smallest that failed, where enough orders wait to repay it
    known      all calls of the largest size that works
    trial      one call of a size that was learned a while ago, single calls beside it: the server may have changed

A long job tries fifty before the full size, and then one more than fifty: each costs half a round where the full size
works. Where it does not, most often because fifty do, the one spares a round and the other half of the doubts: one
order too many shows as much as fifty too many. A job may have a maximum of its own (`largest`): the search goes on
below it, and what it shows serves the others.

Only a call whose every order is accounted for proves a size. What a call leaves unnamed, or a refusal of the
size, shows that the size does not work. A call in doubt shows it only for a canary: a size not yet proved. A pair, or
one more than fifty, may be lost by chance, and any call may be spoiled by one of its orders: another canary tells.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

from imeiflow.dispatch.learned import name_reason, recall_reason
from imeiflow.domain.outcome import Ending, ErrorKind, Outcome
from imeiflow.domain.reply import Account, WholeError

_MAX_NARROWINGS = 5
_REGROW_AFTER = 8
#: Limits that people set: tried before any other size between one that works and one that does not.
_COMMON = (5, 10, 20, 30, 50)
_MOST_USUAL = 50
#: Sizes whose failure ends the search: they are not blamed for one canary that was lost, which may be chance.
_DECISIVE = frozenset({2, _MOST_USUAL + 1})
_LONG = 24_000  #: orders: a dozen rounds of twenty full calls
#: A canary that fails leaves its orders in doubt, each of which is sent alone: so many times that must be spared by
#: one that works, where the provider named the size, where it is a common one, and otherwise.
_STAKES = (1, 2, 8)
_NUMBER = re.compile(r"\b(\d{1,3})\b")


class Verdict(StrEnum):
    """What one call shows about its size."""

    WORKS = "works"
    FAILS = "fails"
    DOUBTFUL = "doubtful"  #: of a canary that was lost or spoiled: perhaps by chance, perhaps by its size
    NOTHING = "nothing"


class ChunkSize:
    """The size of the next call. `is_canary` of `next` tells that no second call of this size may leave yet.

    `known` is the user's word that so many work: there is nothing to find out. `learned` is what `as_learned` gave;
    `is_stale`: so long ago that one call tries it before others rely on it.
    """

    def __init__(
        self, *, full: int = 100, known: int | None = None, learned: object = None, is_stale: bool = False
    ) -> None:
        self.full = max(1, full)
        self.proved = 1  #: the largest size that is known to work
        self.failed: int | None = None  #: the smallest size that is known not to work
        self.reason = "not known yet: single orders, and one call of two, to begin with"
        self._canary: int | None = None
        self._guess: int | None = None  #: what the last failure suggests: the orders it named, or a number it gave
        self._narrowings = 0
        self._shrunk: int | None = None
        self._accounted = 0
        self._doubted = 0  #: canaries in a row that were lost or spoiled
        self._has_all = False  #: the provider has had all orders of a call from before, and has named none since
        self._done = self.full == 1
        self._trial: int | None = None  #: a size that worked a while ago, and is tried by one call first
        self._was_done = False  #: the search had ended with it
        self._recalled = ""  #: why it was learned, in an earlier session
        self.has_news = False  #: a call has shown something of the size that is remembered
        if known is not None:
            self.proved, self._done = max(1, min(known, self.full)), True
            self.reason = "set by you"
        elif isinstance(learned, Mapping):
            self._recall(learned, is_stale=is_stale)

    @property
    def is_known(self) -> bool:
        """Say whether the search has ended."""
        return self._done

    @property
    def usual(self) -> int:
        """Give the size that any number of calls may have now."""
        return 1 if self._has_all else min(self.proved, self._shrunk or self.proved)

    @property
    def is_far_from_known(self) -> bool:
        """Say whether sizes are still looked for that are many times the proved one."""
        return not self._done and not self._has_all and self.proved * 2 < (self.failed or self.full)

    def is_known_up_to(self, largest: int | None, waiting: int | None = None) -> bool:
        """Say whether nothing is left to find out for `waiting` orders in calls of at most `largest`."""
        return self._candidate(largest, waiting) is None

    def next(self, largest: int | None = None, waiting: int | None = None) -> tuple[int, bool]:
        """Give the size of the next call, at most `largest`, and whether it is a canary; then call `sent`.

        `waiting` orders are still to be sent, those of this call among them; None: so many that all is worth knowing.
        """
        candidate = self._candidate(largest, waiting)
        if candidate is None or self._canary is not None or self._has_all:
            return min(self.usual, largest or self.usual), False
        return candidate, True

    def hear(self, size: int, ending: Ending, account: Account, *, is_canary: bool, is_placing: bool) -> None:
        """Take what one call of `size` showed; `is_placing`: its orders were queued ones."""
        verdict = judge(size, ending, account, is_canary=is_canary)
        if ending is Ending.REFUSED_UNREAD and account.error and account.error.kind is ErrorKind.CHUNK:
            verdict = Verdict.FAILS
        if ending is Ending.IN_DOUBT and is_canary and self._trial is not None:
            verdict = Verdict.DOUBTFUL  # it worked before: more likely by chance
        if is_placing and self._has_all and account.count(Outcome.ACCEPTED):
            self.resume()
        if has_all(size, account):
            self.hold_back()
        elif is_canary and verdict is Verdict.NOTHING:
            self.withdraw()
        elif verdict is Verdict.DOUBTFUL:
            self.doubt(size)
        elif is_placing:
            named = size if verdict is Verdict.WORKS else size - account.count(Outcome.UNCONFIRMED)
            self.learn(size, verdict, named=named, hint=read_hint(account), is_canary=is_canary)
            if not is_canary and ending is Ending.ANSWERED and is_spoiled(size, account):
                self.shrink(size)

    def sent(self, size: int) -> None:
        """Note that the canary of `size` has left."""
        self._canary = size

    def withdraw(self) -> None:
        """Note that the canary proved nothing: it never reached the provider, or was refused unread."""
        self._canary = None

    def hold_back(self) -> None:
        """Send one order a call: of a call whose orders the provider has all from before, its error names none."""
        self._canary, self._has_all = None, True
        self.reason = "the provider has these orders from before, and of several in a call it names none"

    def resume(self) -> None:
        """Let calls grow again, from one order: one was new to the provider."""
        self._has_all, self._accounted = False, 0
        self._shrunk = 1 if self.proved > 1 else None
        self.reason = "growing again: an order was new to the provider"

    def doubt(self, size: int) -> None:
        """Note that a canary of `size` was lost, or spoiled by one of its orders; the second time blame the size."""
        self._canary = None
        self._doubted += 1
        if self._doubted > 1:
            self._doubted = 0
            self._fails(size, 0, None, is_canary=True)

    def learn(self, size: int, verdict: Verdict, *, named: int, hint: int | None, is_canary: bool) -> None:
        """Learn from a call of `size`; `named` orders were accounted for; `hint` is a number that the reply gave."""
        if is_canary:
            self._canary = None
        self.has_news |= verdict is Verdict.WORKS and size >= (self._trial or self.proved)
        if verdict is Verdict.WORKS:
            self._doubted = 0
            self._works(size)
        elif verdict is Verdict.FAILS and size > 1:
            self._fails(size, named, hint, is_canary=is_canary)

    def shrink(self, size: int) -> None:
        """Send smaller calls for a while: one order of a call of `size` made the whole call fail."""
        self._shrunk = max(1, min(self.usual, size // 4))
        self._accounted = 0
        self.reason = "fewer for a while: one order made a whole call fail"

    def as_learned(self) -> dict[str, object] | None:
        """Give what is worth remembering, as JSON values; None while no call of several orders has shown anything."""
        if self.proved == 1 and self.failed is None:
            return None
        if self._trial is not None:
            return None  # what is remembered stays as it is
        found: dict[str, object] = {"size": self.proved, "failed": self.failed, "why": name_reason(self.reason)}
        return found if self._done else {**found, "narrowings": self._narrowings}

    def _recall(self, learned: Mapping[str, object], *, is_stale: bool) -> None:
        """Take up what was learned earlier; `narrowings` tells that the search was broken off: it goes on there.

        A size alone, without what failed, is a person's: it is not questioned.
        """
        size, failed, narrowings = learned.get("size"), learned.get("failed"), learned.get("narrowings")
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            return
        self.proved = min(size, self.full)
        if isinstance(failed, int) and size < failed <= self.full:
            self.failed = failed
        if isinstance(narrowings, int) and self.proved < self.full:
            self._narrowings = narrowings
            self.reason = "so far: whether it takes more is still being found out"
        else:
            self._done = self.proved >= self.full or self.failed is not None or "failed" not in learned
            self.reason = self._recalled = recall_reason(learned.get("why"))
        if is_stale and "failed" in learned and self.proved > 1:
            self._trial, self._was_done = self.proved, self._done
            self.proved, self._done = 1, False
            self.reason = f"{self._trial} orders a call were learned a while ago: one tries them before others do"

    def _works(self, size: int) -> None:
        if self._trial is not None and size >= self._trial:
            self.proved, self._done, self._trial = self._trial, self._was_done, None
            self.reason = self._recalled
            return
        if size > self.proved and (self.failed is None or size < self.failed):
            self.proved = size
            self.reason = f"the provider named all of a call of {size} orders"
            if size == self._guess:
                self.failed = size + 1
        if self._shrunk is not None and size >= self._shrunk:
            self._accounted += 1
            if self._accounted >= _REGROW_AFTER:
                self._shrunk = None if self._shrunk * 2 >= self.proved else self._shrunk * 2
                self._accounted = 0
        if not self._done:
            self._finish()

    def _fails(self, size: int, named: int, hint: int | None, *, is_canary: bool) -> None:
        self.failed, self._trial, self.has_news = min(self.failed or size, size), None, True
        if not is_canary and size <= self.proved:
            self._narrowings, self._done = 0, False
        smaller = self.proved if self.proved < self.failed else 1
        self.proved = smaller
        guess = hint if hint is not None and 1 < hint < size else named
        self._guess = guess if smaller < guess < self.failed else None
        self.reason = _say_failed(size, named, hint)
        self._narrowings += 1
        self._finish()

    def _candidate(self, largest: int | None, waiting: int | None) -> int | None:
        """Give the size to try next; None when none above the proved one is left to try, or worth it."""
        if self._done:
            return None
        if self._trial is not None:
            size = min(self._trial, largest or self._trial, self._trial if waiting is None else waiting)
            return size if size > self.proved else None
        size = min(self._next_size(waiting), largest or self.full)
        is_worth_it = size > self.proved and (waiting is None or self._pays(size, waiting))
        return size if is_worth_it else None

    def _pays(self, size: int, waiting: int) -> bool:
        """Say whether a canary of `size` spares `waiting` orders calls enough for the doubt that it may leave."""
        if self.failed is None:
            return True
        named, common, other = _STAKES
        stake = named if size == self._guess else common if size in _COMMON else other
        return waiting / self.proved - waiting / size >= stake * size

    def _next_size(self, waiting: int | None) -> int:
        if self.failed is None:
            if self.proved < 2:
                return min(2, self.full)
            is_long = waiting is not None and waiting >= _LONG
            if is_long and self.proved <= _MOST_USUAL < self.full:
                return _MOST_USUAL if self.proved < _MOST_USUAL else _MOST_USUAL + 1
            return self.full
        if self._guess is not None and self.proved < self._guess < self.failed:
            return self._guess
        between = [size for size in _COMMON if self.proved < size < self.failed]
        if between:
            return between[-1] if self.failed == self.full else between[len(between) // 2]  # fifty are most usual
        if self.proved in _COMMON and self.proved + self._nearness < self.failed:
            return self.proved + self._nearness
        middle = round((self.proved * self.failed) ** 0.5)
        return middle if self.proved < middle < self.failed else self.proved + 1

    @property
    def _nearness(self) -> int:
        """Give how much more than the proved size is not worth another call that may fail."""
        return max(1, self.proved // 8)

    def _finish(self) -> None:
        if self.failed is None:
            self._done = self.proved >= self.full
        else:
            self._done = self.failed - self.proved <= self._nearness or self._narrowings > _MAX_NARROWINGS
        if self._done and self.proved == 1 and self.failed is not None:
            self.reason = f"{self.failed} orders in one call did not work"


def _say_failed(size: int, named: int, hint: int | None) -> str:
    """Say why so many are too many. A reply that gives a number (`hint`), or leaves no doubt, is a refusal."""
    if named >= size or hint is not None:
        return f"the provider refused a call of {size} orders"
    return f"of a call of {size} orders the provider named {f'only {named}' if named else 'none'}"


def judge(size: int, ending: Ending, account: Account, *, is_canary: bool) -> Verdict:
    """Say what a call of `size` shows about its size."""
    if ending is Ending.IN_DOUBT:
        if not is_canary:
            return Verdict.NOTHING
        return Verdict.DOUBTFUL if size in _DECISIVE else Verdict.FAILS
    if ending is not Ending.ANSWERED or account.count(Outcome.THROTTLED) or _is_of_account(account):
        return Verdict.NOTHING
    if not account.count(Outcome.UNCONFIRMED):
        return Verdict.WORKS
    if not is_spoiled(size, account):
        return Verdict.FAILS
    if not is_canary:
        return Verdict.NOTHING
    is_about_an_order = account.error is not None and account.error.kind is ErrorKind.ORDER
    return Verdict.DOUBTFUL if is_about_an_order or size in _DECISIVE else Verdict.FAILS


def read_hint(account: Account) -> int | None:
    """Read the size that a refusal of the size names ("at most 50 IMEIs"), if it names one."""
    if account.error is None or account.error.kind is not ErrorKind.CHUNK:
        return None
    return find_number(account.error)


def find_number(error: WholeError) -> int | None:
    """Find the smallest number above 1 that an error names."""
    numbers = [int(text) for text in _NUMBER.findall(error.message)]
    return min((number for number in numbers if number > 1), default=None)


def _is_of_account(account: Account) -> bool:
    """Say whether a whole-call error is of the account or the service: whatever it leaves in doubt, not the number."""
    return account.error is not None and account.error.kind in {ErrorKind.ACCOUNT, ErrorKind.SERVICE}


def has_all(size: int, account: Account) -> bool:
    """Say whether the whole answer to several orders was that the provider has them, without a word of which."""
    is_said = account.error is not None and account.error.duplicate
    return size > 1 and is_said and account.count(Outcome.UNCONFIRMED) == size


def is_spoiled(size: int, account: Account) -> bool:
    """Say whether a whole-call error came from one order among several, and not from their number."""
    return size > 1 and account.error is not None and account.error.kind in {ErrorKind.ORDER, ErrorKind.UNKNOWN}
