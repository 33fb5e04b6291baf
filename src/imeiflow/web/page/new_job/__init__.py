"""A new job: a list, a service, a preview, the word to order."""
