"""Tests of the REST API: the real server, ledger and runner before a simulated provider."""
