"""The gateway: a scrape passed on to Cloud Run with the right token."""
