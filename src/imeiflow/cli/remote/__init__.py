"""Commands that ask a server: the same words, JSON and exit status as on the ledger here. Their twins call them."""
