"""What does it look like when it runs? An event table with real dirt, servers to deliver to, and a summary to check.

Nothing imports this room but the command line, tests and benchmarks.
"""
