"""Sentences around the pages: titles, links that ask in vain, logins, and what belongs to whom."""

from __future__ import annotations

PAGE_TITLE = "BCBP: does pruning pay here?"
QUESTION = "Does pruning make a network faster on your machine?"
LOADING = "Loading PyTorch (a few seconds, once)"
LOADING_MODEL = "Loading the model and scoring its layers"
UNEXPECTED = (
    "Something went wrong on this page; the details are in the terminal that runs the dashboard. "
    "Other pages still work, and runs on disk are safe."
)
LOG_IN, LOG_IN_FIRST = "Log in", "This server asks who you are before it shows anything."
NO_AUTHLIB = 'A login is set up, but Authlib is not installed here: `pip install "Authlib>=1.3.2"`.'
NOT_YOUR_FILES = (
    "This needs a network, masks or images that are not yours to use here: upload them yourself, on the "
    "Model page or on Tune."
)
SOMEBODYS = "A run of somebody else"
NOT_YOURS = "Somebody else's, or started from another browser: it can be stopped or deleted only from there."


def bad_link(name: str, value: str, used: str) -> str:
    """
    >>> bad_link("tile", "5", "32")
    'The link asks for tile = 5, which does not exist here. Showing 32 instead.'
    """
    shown = value if len(value) <= 40 else value[:37] + "..."
    return f"The link asks for {name} = {shown}, which does not exist here. Showing {used} instead."
