"""The one exception that the codec raises for bad input."""


class CaeError(Exception):
    """Bad input: the message says what is wrong, where, and what to do."""
