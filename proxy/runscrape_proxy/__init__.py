"""The proxy: mints Google-signed ID tokens and answers Prometheus' OAuth 2.0 client."""
