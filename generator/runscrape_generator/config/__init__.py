"""Settings: what there is, where it is written, and what is wrong with it.

- ``settings`` declares each setting once: its ``option`` on the command line, and a type of the
  ``vocabulary``, which is made of ``fields`` and ``durations``; the ``rules`` may hold a
  ``scrape_config``, made of ``job_fields``;
- ``load`` reads them from their ``sources``, a ``yaml_file`` among them; ``checks`` finds settings
  that are wrong together, ``unsupported`` what the output could not say (by ``releases`` of
  Prometheus, ``operator_fields``, and ``relabeling`` with its ``regexes``); ``messages`` has the
  words;
- ``printing`` and ``schema`` show them: ``--print-config``, and the JSON Schema.
"""
