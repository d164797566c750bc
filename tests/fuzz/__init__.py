"""Random input for whatever reads what strangers write; not part of ``make test``."""
