"""The generator: lists Cloud Run services and renders Prometheus scrape jobs for them.

``runscrape generate`` goes through the modules in this order:

- ``cli`` takes the command line, and ``config`` reads the settings;
- ``run`` is one run, ``watch`` one after the other; what a run makes, ``pipeline`` makes:
- ``cloudrun`` lists the services, and takes from the inventory those that could not be listed;
- ``selection`` decides what becomes of each service, and puts jobs together;
- ``render`` writes the jobs as text;
- ``publish`` puts the text in force, and ``summary`` says what the run came to.

What they hand on is in ``model``. ``doctor``, ``iam`` and ``bootstrap`` are commands of their own.
"""

import os

# What gRPC would log to standard error is in the errors that it raises, too. It reads this when it
# is imported, which any module here may be the first to do.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
