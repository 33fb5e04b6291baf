"""GSM Fusion and its siblings: forms by POST, answers in XML. May not retry, and may not know jobs or the ledger."""

from __future__ import annotations

from imeiflow.providers.gsm_fusion.client import GsmFusionConnection, GsmFusionProvider
from imeiflow.providers.gsm_fusion.listing import CatalogEntry

provider = GsmFusionProvider()
#: A sibling with other paths.
nakshsoft = GsmFusionProvider(name="nakshsoft", api_path="/UPAPI_api/index.php", services_action="getpackages")

__all__ = ["CatalogEntry", "GsmFusionConnection", "GsmFusionProvider", "nakshsoft", "provider"]
