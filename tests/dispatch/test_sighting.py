"""Which of the provider's own orders may be the one whose reply was lost."""

from __future__ import annotations

import pytest

from imeiflow.dispatch.sighting import is_of_service
from imeiflow.domain.ident import ServiceId


@pytest.mark.parametrize(
    ("said", "is_ours"), [("Apple Basic Info", True), ("12", True), ("", True), ("Apple Carrier", False), ("1", False)]
)
def test_a_listed_order_is_of_the_service_that_it_names_by_title_or_id(said: str, is_ours: bool):
    assert is_of_service(said, ServiceId("12"), "Apple Basic Info") is is_ours


def test_a_title_that_is_not_known_is_no_title():
    assert not is_of_service("Apple Basic Info", ServiceId("12"), "")
