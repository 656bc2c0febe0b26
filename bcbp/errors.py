"""The errors a person can cause. Each message says what was expected, what arrived, what to do."""

from __future__ import annotations


class BcbpError(ValueError):
    """Base of every error that is shown to people as one line, without a traceback."""


class SpecError(BcbpError):
    """A request that cannot be carried out: a ratio, tile, method or layer name out of range."""


class DataError(BcbpError):
    """Images that are missing, damaged or of another kind than the model expects."""


class ModelError(BcbpError):
    """A model name or weights file that is unknown, missing or damaged."""


class NotYours(BcbpError):
    """Something that belongs to somebody else on a shared server."""
