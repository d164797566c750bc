"""``runscrape bootstrap``: everything needed to run, as one folder (a bundle)."""
