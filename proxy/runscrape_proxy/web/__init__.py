"""The Flask app: tokens, the page for people, metrics, health."""
