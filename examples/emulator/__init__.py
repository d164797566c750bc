"""Google Cloud on loopback: the Run Admin API, the token issuers, and private Cloud Run services.

For tests, the demo and benchmarks; README.md has the world's format.
"""

from emulator.core import Emulator
from emulator.model import World
from emulator.schema import WorldError

__all__ = ["Emulator", "World", "WorldError"]
