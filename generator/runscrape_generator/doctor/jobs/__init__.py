"""Scrape jobs read as Prometheus reads them."""
