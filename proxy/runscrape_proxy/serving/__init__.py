"""How HTTP is served: gunicorn, its worker, the listening sockets, TLS."""
