"""The command line: words in, exit codes out.

- ``main`` runs a command, and makes errors into messages and exit codes;
- ``commands`` names the commands; ``pages`` shows their help, ``flags`` has their options;
- ``call`` is a command that was called, with its settings; ``console`` is what it says to people,
  ``output`` its result;
- ``write`` (generate and targets), ``explain``, ``doctor``, ``iam`` and ``bootstrap`` are the
  commands; explain shows an ``overview``, or ``details`` with the ``provenance`` of each setting.
"""
