"""Asking Google which Cloud Run services there are."""
