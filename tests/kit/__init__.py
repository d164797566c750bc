"""What tests of every part share: certificates, programs, an HTTP server, waiting, Prometheus."""
