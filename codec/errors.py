"""The exception that the codec raises for bad input."""


class CaeError(Exception):
    """Bad input: the message says what is wrong, where, and what to do."""


class DamageError(CaeError):
    """One part of one tile is damaged, which leaves the others as they are."""
