"""Every Jinja2 template; installed as ``runscrape_generator.templates``."""
