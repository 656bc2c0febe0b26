"""The names of methods for people."""

from __future__ import annotations

from app.wording import capital
from bcbp.patterns import PATTERNS
from bcbp.spec import DENSE

PATTERN_TITLES = {name: capital(pattern.label) for name, pattern in PATTERNS.items()}
METHOD_TITLES = {DENSE: "Dense"} | PATTERN_TITLES
