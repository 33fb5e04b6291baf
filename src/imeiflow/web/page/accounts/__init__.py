"""The page of accounts and their limits."""
