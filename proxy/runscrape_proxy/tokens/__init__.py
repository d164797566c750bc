"""The tokens in memory: when to renew them, and the threads that do."""
