"""From jobs to text: each output format in one place."""
