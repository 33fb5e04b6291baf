"""Plots of a few series over named steps or days: as SVG, as a page without any request, as PNG. Knows nothing else."""
