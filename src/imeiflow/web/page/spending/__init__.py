"""The page of spending."""
