"""Protocol adapters: how to talk to a provider and to read what it says. May not know jobs, lanes or the ledger."""
