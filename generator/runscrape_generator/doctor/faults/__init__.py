"""From evidence to a fault: one module for each part of the way from Prometheus to the app."""
