"""The generator: lists Cloud Run services and renders Prometheus scrape jobs for them."""
