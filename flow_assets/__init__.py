"""Flows: granular extracts of a huge event table, delivered exactly once, as Dagster assets declared in YAML."""

__version__ = "0.1.0"
