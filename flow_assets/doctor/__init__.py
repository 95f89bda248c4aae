"""Is this installation fit to deliver? Everything that ``flows doctor`` looks at, but Dagster, which ``defs`` knows.

Nothing is changed: destinations are connected to and not written to, sources asked for their columns. What was never opened is made by
being opened, as by every command: the state folder, the ledger, the root of a local destination.
"""
