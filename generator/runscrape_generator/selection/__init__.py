"""From services to jobs: what is kept, why not, and how it is scraped."""
