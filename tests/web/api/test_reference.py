"""The reference page says what the API's description says."""

from __future__ import annotations

from tests.web.api.reference import PAGE, write_reference


def test_the_page_is_what_the_description_says():
    """When this fails: `python -m tests.web.api.reference` writes the page anew."""
    assert PAGE.read_text(encoding="utf-8") == write_reference()
