"""Asking Google which Cloud Run services there are.

- ``discovery`` signs in, makes a ``plan`` of what to list (``search`` finds projects), and lists it
  in a ``round``, which shows its ``listing_progress``;
- a round asks the ``client`` for pages of ``services``, and puts them together as a ``listing``;
  where Google refuses all regions at once, it asks for the ``regions``;
- all calls are made by ``calls`` and ``retries``, with ``credentials``, to an ``address``, through
  a ``network``; those over REST by ``rest``;
- ``failures`` and their ``remedies`` say what could not be listed; ``recall`` takes that from the
  inventory;
- ``policies`` are read for doctor and iam alone.
"""
