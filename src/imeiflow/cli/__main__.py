"""`python -m imeiflow.cli`: the same as `imeiflow`, for processes that start one another."""

from imeiflow.cli import main

main()
