"""The web application: pages for people, drawn on the server. A composition root beside the command line.

Data of a page comes from `operations`; there is no SQL here, and nothing here waits for a job.
"""
