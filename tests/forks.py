"""Processes of our own: forked from one that has imported what they run, so that each begins in no time."""

import multiprocessing

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["tests.killed_delivery", "tests.killed_consumer", "tests.deliveries", "pandas"])
