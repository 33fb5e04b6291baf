"""Lists of IMEIs, from files and streams, as rows. Knows nothing of orders, accounts or the ledger."""
