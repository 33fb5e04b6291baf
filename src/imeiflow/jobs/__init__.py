"""Long-running work: the runner of one account's lane, in this process or detached from the terminal."""
