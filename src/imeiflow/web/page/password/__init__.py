"""The page on which people set their own password anew."""
