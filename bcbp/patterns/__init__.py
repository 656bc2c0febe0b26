"""The table of patterns: which sets of weights may go together. A new one is one file and one line."""

from bcbp.patterns.balanced_columns import BALANCED_COLUMNS
from bcbp.patterns.base import Outcome, Pattern, Task
from bcbp.patterns.blocks import BLOCKS
from bcbp.patterns.columns import COLUMNS
from bcbp.patterns.elementwise import ELEMENTWISE
from bcbp.patterns.filters import FILTERS
from bcbp.patterns.n_of_m import TWO_OF_FOUR

PATTERNS: dict[str, Pattern] = {
    pattern.name: pattern
    for pattern in (BALANCED_COLUMNS, COLUMNS, FILTERS, BLOCKS, ELEMENTWISE, TWO_OF_FOUR)
}

__all__ = ["PATTERNS", "Outcome", "Pattern", "Task"]
