"""What we believe of Google, as cases: run against the emulator by the tests, or a real project."""
