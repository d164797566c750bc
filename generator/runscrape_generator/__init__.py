"""The generator: lists Cloud Run services and renders Prometheus scrape jobs for them."""

import os

# What gRPC would log to standard error is in the errors that it raises, too. It reads this when it
# is imported, which any module here may be the first to do.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
