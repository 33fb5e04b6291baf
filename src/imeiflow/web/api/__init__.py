"""The REST API: the same flow as the command line, for programs with a token.

An application of its own beside the pages: it knows no cookie, so that no other site can use it through a browser.
"""
