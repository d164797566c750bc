"""Why is this target down: asks for a token, scrapes as Prometheus would, names the cause.

A run goes through the modules in this order:

- ``known``, ``jobs/``: which services there are, and the targets of their jobs (``targets``);
- ``checkup``: a token for each (``token``, ``mint``) and a scrape (``scrape``, ``http/``,
  ``samples``); with what the Admin API (``facts``) and a running Prometheus (``prometheus``) say,
  that is the ``evidence``;
- ``diagnose``, ``faults/``: the first thing in the way, and what is worth a look;
- ``causes``, ``remedies``: what is said of it, with the real values filled in;
- ``report/``: the page, or the JSON.

To add a cause, write its entry in ``causes.yaml`` where it belongs by rank, and return a
``Fault("its-name", "what was seen")`` where ``faults/`` looks at that part of the way. That is all,
unless it needs evidence that nobody collects yet. Then let ``tests/doctor/test_causes.py`` produce
it (a ``Case``, or a ``Job`` in ``jobs_by_hand.py``), and ``make docs`` writes it into the manual.
"""
