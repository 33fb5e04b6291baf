"""The page of all orders."""
