"""Orders that may have been placed: the evidence, and settling them."""
