"""imeiflow for programs: a typed client, blocking and asynchronous, and the names of the script that it replaces.

A thin front: what is ordered goes through ledger, jobs and dispatch as on the command line, with the same promise.
"""
