"""The page of settings: users, sessions, tokens."""
