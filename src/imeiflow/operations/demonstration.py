"""The demonstration: a simulated provider, a ledger and a list of its own, and the proof at the end. Costs nothing.

The user's own ledger, accounts and settings are neither read nor touched. The list is submitted as any other is.
"""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from imeiflow.domain.ident import AccountName, JobId, ServiceId
from imeiflow.domain.imei import Imei, check_digit
from imeiflow.errors import ImeiflowError, UsageError
from imeiflow.operations.account import AccountSettings
from imeiflow.operations.configuration import LEDGER_NAME, Configuration
from imeiflow.operations.proof import Proof, compare
from imeiflow.operations.session import Session, find_account_provider
from imeiflow.operations.submit import Request
from imeiflow.providers.contract import Timeouts
from imeiflow.simulator.behaviour import Behaviour
from imeiflow.simulator.process import SimulatorProcess

ACCOUNT: Final = AccountName("demo")
SERVICE: Final = ServiceId("1")
LIST_NAME: Final = "phones.csv"
RESULTS_NAME: Final = "results.csv"
COLUMNS: Final = ("Stock No", "Model", "Storage", "Colour", "IMEI", "Grade", "Cost")
MOST_IMEIS: Final = 200_000  #: the proof holds the whole book in memory

#: A shop's server on an ordinary day: each IMEI of a call takes its time, thirty calls at once are worked on, now and
#: then a reply is lost after the order was taken, some phones it finds bad, and what it has it does not sell again.
ORDINARY: Final[Mapping[str, object]] = {
    "latency": "lognormal:0.35,0.35,3",
    "latency_per_imei": 0.009,
    "read_latency": "0.1-0.4",
    "capacity": 30,
    "faults": ["reset:after@every:97", "html-502:after@every:131", "close:after@every:173"],
    "shuffled": True,
    "declaration": "phpxml",
    "pending_for": "5-60",
    "process_for": "10-120",
}

_MODELS: Final = (
    ("iPhone 11", ("64 GB", "128 GB"), ("Black", "White", "Red")),
    ("iPhone 12", ("64 GB", "128 GB", "256 GB"), ("Blue", "Black", "Green")),
    ("iPhone 13", ("128 GB", "256 GB"), ("Midnight", "Starlight", "Pink")),
    ("iPhone SE (2020)", ("64 GB", "128 GB"), ("White", "Black")),
    ("Galaxy S21 5G", ("128 GB", "256 GB"), ("Phantom Gray", "Phantom White")),
    ("Galaxy A52", ("128 GB",), ("Awesome Blue", "Awesome Black")),
    ("Pixel 6", ("128 GB", "256 GB"), ("Stormy Black", "Kinda Coral")),
)
_GRADES: Final = ("A", "A", "B", "B", "B", "C", "D")
#: TACs of a test body's range: no phone has them.
_TACS: Final = ("35000000", "35000001", "35000002", "35000003")


class DemonstrationError(ImeiflowError):
    """The demonstration: {problem}"""


@dataclass(frozen=True, slots=True)
class Stock:
    """The phones of a list: what stands in its IMEI column, those that the provider has had before, and finds bad."""

    cells: list[str]
    earlier: tuple[Imei, ...]
    bad: tuple[Imei, ...]
    seed: int

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Make up the rows of the list, each time the same."""
        random = Random(f"{self.seed}:rows")
        return (_describe_phone(number, cell, random) for number, cell in enumerate(self.cells, 1))


@dataclass(slots=True)
class Stage:
    """What a demonstration plays on: the provider, the ledger, the list. `earlier` are orders of before."""

    simulator: SimulatorProcess
    session: Session
    directory: Path
    earlier: frozenset[str]

    @property
    def list_path(self) -> Path:
        """Give the list that is to be submitted."""
        return self.directory / LIST_NAME

    @property
    def request(self) -> Request:
        """Give the request that submits it."""
        return Request(source=self.list_path, service=SERVICE, account=ACCOUNT)

    def prove(self, job: JobId) -> Proof:
        """Compare the job's ledger with the provider's book, order by order."""
        currency = self.session.find_job(job).currency
        return compare(self.session.ledger, job, self.simulator.read_book(), earlier=self.earlier, currency=currency)


def choose_behaviour(seed: int, changes: Mapping[str, str]) -> Behaviour:
    """Give the ordinary day with what the user wants otherwise. Raises ConfigurationError, naming the option."""
    return Behaviour.parse({**ORDINARY, "seed": seed}).updated(changes)


@contextmanager
def open_stage(directory: Path, behaviour: Behaviour, imeis: int) -> Iterator[Stage]:
    """Start the provider, write the list, and let some of its phones have been ordered before.

    `directory` must be empty or new. Raises UsageError, DemonstrationError, SimulatorError.
    """
    _take_directory(directory)
    stock = make_stock(imeis, behaviour.seed)
    write_list(directory / LIST_NAME, stock)
    quick = Behaviour(seed=behaviour.seed, api_key=behaviour.api_key, username=behaviour.username)
    with SimulatorProcess.start(quick) as simulator:
        configuration = _configure(directory, simulator)
        earlier = asyncio.run(_order_earlier(configuration, stock.earlier))
        simulator.set_behaviour(behaviour, bad_imeis=[*behaviour.bad_imeis, *stock.bad])
        with Session.open(configuration) as session:
            yield Stage(simulator, session, directory, earlier)


def make_stock(count: int, seed: int) -> Stock:
    """Make up a shop's list of `count` rows: phones, a few typed wrongly, a few listed twice. The seed decides all."""
    random = Random(f"{seed}:stock")
    serials = random.sample(range(10_000, 1_000_000), count)
    imeis = [_make_imei(random.choice(_TACS), serial) for serial in serials]
    cells = [_dress(imei, random) for imei in imeis]
    # Not among the first rows, which are read to find the header and the column.
    far = range(min(5, count - 1), count)
    for place in random.sample(far, len(far) // 800 + (count >= 20)):
        cells[place] = _spoil(imeis[place], random)
    for place in random.sample(far, len(far) // 400 + (count >= 20)):
        cells[place] = imeis[random.randrange(place)]
    # Near the top, as the faults of an ordinary day hit later calls; apart from each other, as the calls up there are
    # small: one that holds nothing else is answered with a single error, which says little.
    apart = [imeis[place] for place in range(30, min(count, 200), 5) if cells[place] == imeis[place]]
    had, bad = min(count // 800, 25), min(count // 2_500, 8)
    known = random.sample(apart, min(len(apart), had + bad))
    return Stock(cells, tuple(known[:had]), tuple(known[had:]), seed)


def write_list(path: Path, stock: Stock) -> None:
    """Write a list as Excel writes CSV in much of Europe: semicolons, a byte order mark."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(COLUMNS)
        writer.writerows(stock.rows())


def _take_directory(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_taken = any(directory.iterdir())
    except OSError as error:
        raise DemonstrationError(problem=f"{directory}: {error.strerror}", remedy="Name a folder of yours.") from error
    if is_taken:
        raise UsageError(
            problem=f"{directory} is not empty", remedy="Name a new folder: a ledger is never overwritten."
        )


def _configure(directory: Path, simulator: SimulatorProcess) -> Configuration:
    account = AccountSettings(
        name=ACCOUNT,
        provider="gsm-fusion",
        base_url=simulator.base_url,
        username=simulator.username,
        key=simulator.api_key,
        currency="USD",
    )
    return Configuration(home=directory, ledger=directory / LEDGER_NAME, accounts={ACCOUNT: account})


async def _order_earlier(configuration: Configuration, imeis: tuple[Imei, ...]) -> frozenset[str]:
    """Order some phones as another program would have, a while ago; give the references."""
    account = configuration.accounts[ACCOUNT]
    provider = find_account_provider(account)
    connection = provider.connect(configuration.login(account), max_concurrency=1, timeouts=Timeouts())
    references: set[str] = set()
    try:
        for start in range(0, len(imeis), provider.max_chunk):
            batch = imeis[start : start + provider.max_chunk]
            placement = await connection.place(batch, SERVICE)
            found = {finding.reference for finding in placement.account.findings.values()}
            if None in found:
                problem = f"the simulated provider did not take an order: {placement.exchange.problem}"
                raise DemonstrationError(problem=problem)
            references.update(str(reference) for reference in found)
    finally:
        await connection.close()
    return frozenset(references)


def _make_imei(tac: str, serial: int) -> Imei:
    first14 = f"{tac}{serial:06}"
    return Imei(first14 + check_digit(first14))


def _dress(imei: Imei, random: Random) -> str:
    """Write an IMEI as people and spreadsheets do: mostly plain, sometimes otherwise, always readable."""
    match random.randrange(250):
        case 0:
            return f"{imei[:2]}-{imei[2:8]}-{imei[8:14]}-{imei[14]}"
        case 1:
            return f"{imei[:6]} {imei[6:12]} {imei[12:]}"
        case 2:
            return f"'{imei}"
        case 3:
            return imei[:14]
        case 4:
            return f"IMEI: {imei}"
        case 5:
            return f"{imei[0]}.{imei[1:]}E+14"
        case _:
            return imei


def _spoil(imei: Imei, random: Random) -> str:
    """Write something that is no IMEI any more: a digit mistyped, digits missing, or no number at all."""
    match random.randrange(4):
        case 0:
            place = random.randrange(8, 14)
            return f"{imei[:place]}{(int(imei[place]) + 1) % 10}{imei[place + 1 :]}"
        case 1:
            return imei[:11]
        case 2:
            return "3.5E+14"
        case _:
            return "n/a"


def _describe_phone(number: int, cell: str, random: Random) -> tuple[str, ...]:
    model, storages, colours = random.choice(_MODELS)
    cost = f"{random.randrange(60, 480)}.{random.choice(('00', '50', '90'))}"
    return (
        f"RX-{number:05}",
        model,
        random.choice(storages),
        random.choice(colours),
        cell,
        random.choice(_GRADES),
        cost,
    )
