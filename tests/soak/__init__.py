"""Hours of operation in minutes, with real servers, a real daemon, and everything going wrong: ``make soak``."""
