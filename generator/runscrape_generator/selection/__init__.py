"""From services to jobs: what is kept, why not, and how it is scraped.

``decide`` takes for each service its ``rules``, what it says itself (``annotations``), what its
token is made for (``audiences``), and makes ``endpoints`` of these, whose jobs have names by
``naming``; ``clashes`` settles who gets a name that several want. ``jobs`` puts jobs together.
"""
