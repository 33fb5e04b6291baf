"""The resources of the API, a module each: `OPERATIONS` is what it offers, and all that the documents are made of."""
