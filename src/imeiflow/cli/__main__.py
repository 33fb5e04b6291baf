"""`python -m imeiflow.cli`: the same as `imeiflow`, for processes that start one another."""

import sys

from imeiflow.cli import main

sys.argv[0] = "imeiflow"
main()
