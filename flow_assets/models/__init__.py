"""WHAT BECOMES OF EVENTS PUT TOGETHER? Tables by key, kept as events come, with a manifest of what each has taken up."""
