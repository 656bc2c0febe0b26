"""What removing a share of a layer costs: a curve per layer that never falls, from a scan or from scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bcbp.geometry import LayerInfo
from bcbp.scores import ScorePool
from bcbp.sensitivity import Scan

ACCURACY, IMPORTANCE = "accuracy", "importance"
_BY_IMPORTANCE = "layers are weighed by the importance they lose, not by accuracy"


@dataclass(frozen=True, eq=False)
class Losses:
    """The curves of the layers of `pool`: of accuracy where `scan` is given, else of importance.

    Losses of layers are added up. That is a proxy: it leaves out how layers act on each other.
    """

    pool: ScorePool
    scan: Scan | None

    @property
    def of(self) -> str:
        """What the losses are shares of."""
        return IMPORTANCE if self.scan is None else ACCURACY

    def at(self, name: str, ratios: np.ndarray) -> np.ndarray | None:
        """Losses of a layer at ratios in [0, 1), float64; None where it could not be measured.

        Between measured ratios the curve is a straight line, beyond the last it goes on like before it. Of
        ratios that cost the same accuracy, importance tells which is less: in all layers together
        it counts less than half an image.
        """
        lost = self.pool[name].importance_lost(ratios)
        if self.scan is None:
            return lost
        known = {row.ratio: row.drop for row in self.scan.of(name).values() if row.drop is not None}
        if not known:
            return None
        knots, drops = np.array([0.0, *known]), np.array([0.0, *rising(list(known.values()))])
        drops = np.maximum(drops, 0.0)
        slope = (drops[-1] - drops[-2]) / (knots[-1] - knots[-2])
        beyond = np.maximum(ratios - knots[-1], 0.0) * slope
        tie = 0.5 / (self.scan.key.images * len(self.pool.layers))
        return np.interp(ratios, knots, drops) + beyond + tie * lost


def usable(scan: Scan | None, layers: Iterable[LayerInfo]) -> tuple[Scan | None, str]:
    """The scan if it covers every layer at all of its ratios, else None; and a sentence that says so."""
    names = [layer.name for layer in layers]
    if scan is None or not scan.rows:
        return None, f"No sensitivity scan: {_BY_IMPORTANCE}."
    ratios = {row.ratio for row in scan}
    covered = sum(set(scan.of(name)) == ratios for name in names)
    if covered < len(names):
        return None, f"The sensitivity scan covers {covered} of {len(names)} layers so far: {_BY_IMPORTANCE}."
    return scan, f"Losses are those of a sensitivity scan on {scan.key.images:,} validation images."


def rising(values: list[float]) -> list[float]:
    """The nearest values, in the mean square, that never fall (pool adjacent violators).

    >>> rising([0.0, 0.3, 0.1, 0.5])
    [0.0, 0.2, 0.2, 0.5]
    """
    pools: list[tuple[float, int]] = []
    for value in values:
        mean, count = value, 1
        while pools and pools[-1][0] > mean:
            before, many = pools.pop()
            mean, count = (before * many + mean * count) / (many + count), many + count
        pools.append((mean, count))
    return [mean for mean, count in pools for _ in range(count)]
