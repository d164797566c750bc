"""From jobs to text: each output format in one place.

``scrape_config`` makes a job into data, ``operator`` into a resource, ``file_sd`` into targets.
``formats`` has ``templates`` write a file of them, and compares it with what ``yaml`` reads back.
``into`` keeps them in a block of the user's own file.
"""
