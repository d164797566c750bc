"""From text to files that are in force: written whole, checked, reloaded, or put back.

- before anything is listed: ``places`` of the files, ``file_kinds`` (whose they are), ``lock``,
  and for which ``prometheus_version`` the output is;
- ``guard`` refuses to remove too much; ``users_config`` warns of what does not go together;
- ``publish`` puts the ``inventory`` and the output in place, as ``documents``: it writes ``files``,
  asks ``promtool``, has the ``server`` ``reload``, and puts back what the ``journal`` keeps;
- ``diff`` is what ``--dry-run`` shows, ``metrics`` what ``--metrics-file`` gets.
"""
