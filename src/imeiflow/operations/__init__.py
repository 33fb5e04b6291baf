"""One function a use case: typed values in and out. Prints nothing, asks nobody; the layers above do."""
