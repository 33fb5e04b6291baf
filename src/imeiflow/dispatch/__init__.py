"""The lane: how fast, how many, how many at once, and what to do about doubt. The engine carries it out."""
