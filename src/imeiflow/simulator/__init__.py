"""A simulated GSM Fusion server: every fault of the protocol page, an order book to check against, no money.

It may know the domain's words, and nothing of providers, ledger or engine: it is their judge.
"""

from imeiflow.simulator.behaviour import Behaviour
from imeiflow.simulator.book import Book, Entry
from imeiflow.simulator.process import SimulatorProcess
from imeiflow.simulator.server import SimulatedProvider, run_simulator

__all__ = ["Behaviour", "Book", "Entry", "SimulatedProvider", "SimulatorProcess", "run_simulator"]
