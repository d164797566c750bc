"""Tests of runscrape doctor and runscrape iam."""
