"""Which Switchboard this is: the last release's number, or the next one's with `.dev0` (PEP 440).

pyproject.toml says the same, and so does the newest heading of CHANGELOG.md.
"""

VERSION = "1.1.0.dev0"
