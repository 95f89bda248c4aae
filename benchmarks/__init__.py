"""Measurements of this project against named limits, in one run. `make bench`; results in RESULTS.md."""
