"""What does ``flows docs`` build? A page for each flow, model and source, for the people who receive what flows deliver.

Gathered from the specs, the ledger and a look at the sources; nothing is written but the pages. The same knowledge at the same moment gives
the same bytes. No value of a sensitive column, no row of a visitor who refused, and no secret is ever on a page.
"""
