"""A simulated server for each test that asks for one, found by the environment as a user's would be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from imeiflow.operations.configuration import LEDGER_NAME
from imeiflow.simulator import Behaviour
from tests.library.shop import KEY, Shop
from tests.mould import cast_ledger
from tests.simulator.warm import start_simulator

OpenShop = Callable[..., Shop]


@pytest.fixture
def open_shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenShop]:
    with ExitStack() as stack:

        def open_(**behaviour: object) -> Shop:
            simulator = start_simulator(Behaviour.parse({"api_key": KEY, **behaviour}))
            stack.enter_context(simulator)
            shop = Shop(simulator, tmp_path / "home")
            cast_ledger(shop.home / LEDGER_NAME)
            for name, value in shop.variables.items():
                monkeypatch.setenv(name, value)
            return shop

        yield open_
