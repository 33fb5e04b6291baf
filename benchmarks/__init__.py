"""What imeiflow can do, measured against what is possible, in one run: `make bench`."""
