from __future__ import annotations

import pytest

from tests.web.api.client import Program, enter
from tests.web.site import Site


@pytest.fixture
def program(site: Site) -> Program:
    """Give a program that may do all."""
    return enter(site)
