"""Engines that run pruned convolutions, and the clocks that time them. Knows nothing of models or screens.

Importing this package never imports Triton or llvmlite. `__version__` is set because a package of the
same name on PyPI is probed for it by other libraries.
"""

__version__ = "0.1.0"
