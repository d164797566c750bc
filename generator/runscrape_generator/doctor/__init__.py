"""Why is this target down: asks for a token, scrapes as Prometheus would, names the cause."""
