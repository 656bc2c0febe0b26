"""Balanced column-wise block pruning: models in, pruned models and measurements out."""

__version__ = "0.1.0"
