"""A server's REST API as the command line uses it: asked over TLS, answers turned into the values of this program.

Knows no terminal and opens no ledger.
"""
