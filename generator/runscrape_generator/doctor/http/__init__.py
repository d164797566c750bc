"""HTTP requests, step by step."""
