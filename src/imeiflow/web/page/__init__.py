"""The pages: a folder each, with its routes (`route.py`), its template and nothing of another page."""
