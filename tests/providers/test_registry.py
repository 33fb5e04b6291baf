"""Providers are found by name."""

from __future__ import annotations

import pytest

from imeiflow.errors import ConfigurationError
from imeiflow.providers.gsm_fusion import provider
from imeiflow.providers.registry import find_provider, list_providers


def test_gsm_fusion_is_found_by_its_name() -> None:
    assert find_provider("gsm-fusion") is provider
    assert provider.name == "gsm-fusion"
    assert provider.max_chunk == 100
    assert provider.lists_recent_orders


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="no provider 'gsmfusion'") as caught:
        find_provider("gsmfusion")
    assert "gsm-fusion" in caught.value.remedy
    assert "gsm-fusion" in list_providers()
