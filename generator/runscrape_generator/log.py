"""The log level for the one line of a run that cron mails.

Everything that the generator says goes through the standard library's ``logging``, a logger per
module; :mod:`runscrape_generator.cli.console` decides what is shown, and how. DEBUG is a detail
(``-v``), INFO a step (shown on a terminal or with ``-v``), NOTICE the summary (hidden by ``-q``);
warnings and errors are always shown. A message is one line and holds no secret.
"""

from __future__ import annotations

import logging

NOTICE = 25
"""Between INFO and WARNING, where Cloud Logging has it, too."""

logging.addLevelName(NOTICE, "NOTICE")
