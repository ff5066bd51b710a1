"""One file per provider, found by itself (`extensions/registry.py`)."""

USUAL = "twilio"  # the provider of the installation's own account where its setting names none (R35)
