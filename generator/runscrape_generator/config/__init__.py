"""Flags, environment variables and runscrape.yaml, made into one settings object."""
