"""What will happen? Frozen data; no clock, no I/O."""
