"""The encrypted column, as accounts and migrations know it."""

from organizations.encrypted import EncryptedJSONField, Unreadable

__all__ = ["EncryptedJSONField", "Unreadable"]
