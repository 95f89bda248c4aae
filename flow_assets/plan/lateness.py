"""How late do rows come? A delivery's rows, counted by how long before the interval they had happened.

A row is late by the time from its event to the start of the interval that it was inserted in, or by nothing if it happened later than that.
Lateness is counted in steps that are a quarter as long as itself at most (15 s, 30 s, … 2 min, 2.5 min, … 16 min, 20 min, …), so that a delivery
needs few of them, whatever its rows.
"""

from dataclasses import dataclass

STEP_SECONDS = 15
"""The shortest step. Steps are twice as long from 2 min on, from 4 min on, and so on: four from each doubling to the next."""


@dataclass(frozen=True, order=True)
class Late:
    """``rows`` were at most ``seconds`` late, and more than the entry before says."""

    seconds: int
    rows: int
