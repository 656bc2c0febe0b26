"""Numbers, units, intervals, dates and foreign words, as they stand on every page and in every report."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

NOT_MEASURED = "not measured"


def capital(words: str) -> str:
    """
    >>> capital("column"), capital("BCBP")
    ('Column', 'BCBP')
    """
    return words[:1].upper() + words[1:]


def percent(share: float, digits: int = 1) -> str:
    """
    >>> percent(0.4567)
    '45.7 %'
    """
    return f"{100 * share:.{digits}f} %"


def ratio_percent(ratio: float) -> str:
    """
    >>> ratio_percent(0.5), ratio_percent(0.505)
    ('50 %', '50.5 %')
    """
    return f"{100 * ratio:.4g} %"


def amount(number: float) -> str:
    """
    >>> amount(1_822_177), amount(57_802_752), amount(640)
    ('1.82 M', '57.8 M', '640')
    """
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.3g} {unit}"
    return f"{number:.0f}"


def milliseconds(value: float) -> str:
    """
    >>> milliseconds(0.4567), milliseconds(123.4)
    ('0.457 ms', '123 ms')
    """
    return f"{value:.3g} ms" if value < 1000 else f"{value:.0f} ms"


def times(value: float) -> str:
    """
    >>> times(1.834)
    '1.83×'
    """
    return f"{value:.2f}×"


def points(difference: float) -> str:
    """A difference of two shares in percentage points.

    >>> points(-0.0083), points(0.0)
    ('−0.83', '±0.00')
    """
    number = 100 * difference
    sign = "±" if abs(number) < 0.005 else "+" if number > 0 else "−"
    return f"{sign}{abs(number):.2f}"


def lost_points(share: float) -> str:
    """
    >>> lost_points(0.0083), lost_points(-0.0012)
    ('0.83', '−0.12')
    """
    return f"{100 * share:.2f}".replace("-", "−")


def seconds(value: float) -> str:
    """
    >>> seconds(0.04), seconds(3.14), seconds(75.2)
    ('0.0 s', '3.1 s', '75 s')
    """
    return f"{value:.1f} s" if value < 60 else f"{value:.0f} s"


def time_left(seconds: float | None) -> str:
    """
    >>> time_left(None), time_left(8), time_left(200)
    ('estimating the time left', 'about 10 s left', 'about 3 min left')
    """
    if seconds is None:
        return "estimating the time left"
    if seconds < 90:
        return f"about {max(5, 5 * round(seconds / 5))} s left"
    return f"about {round(seconds / 60)} min left"


def interval(bounds: tuple[float, float], form: Callable[[float], str]) -> str:
    """
    >>> interval((1.79, 1.88), times)
    '1.79× to 1.88×'
    """
    return f"{form(bounds[0])} to {form(bounds[1])}"


def moment(created: str) -> str:
    """
    >>> moment("2026-11-23T17:48:11.123456+00:00")
    '2026-11-23 17:48 UTC'
    """
    return created[:16].replace("T", " ") + " UTC"


def span(numbers: Sequence[int]) -> str:
    """
    >>> span([288, 288]), span([250, 300]), span([])
    ('288', '250 to 300', '')
    """
    if not numbers:
        return ""
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def before_after(before: float, after: float) -> str:
    """
    >>> before_after(0.4477, 0.4744)
    '44.8 → 47.4 %'
    """
    return f"{100 * before:.1f} → {percent(after)}"


def literal(text: str) -> str:
    r"""Words out of a file that somebody else wrote, as Markdown that makes no picture and no colour of them.

    >>> print(literal("Xeon(R) ![x](y) :red[z]"))
    Xeon\(R\) \!\[x\]\(y\) \:red\[z\]
    """
    return re.sub(r"([!-+\--/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))


def rate(value: float, unit: str) -> str:
    """
    >>> rate(4.61e11, "FLOP/s"), rate(2.13e10, "B/s")
    ('461 GFLOP/s', '21.3 GB/s')
    """
    for limit, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if value >= limit:
            return f"{value / limit:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"


def layer_count(name: str, count: int) -> str:
    """
    >>> layer_count("3x3 64-64 @56", 4), layer_count("linear 512-1000", 1)
    ('3x3 64-64 @56 ×4', 'linear 512-1000')
    """
    return f"{name} ×{count}" if count > 1 else name


def slider_range(least: float, most: float) -> tuple[float, float, float]:
    """Ends rounded up so that both can be met, and a step of about a fiftieth.

    >>> slider_range(0.61234, 1.83999)
    (0.6124, 1.84, 0.02)
    """
    digits = 5 - math.floor(math.log10(most)) - 1
    low, high = (math.ceil(end * 10**digits) / 10**digits for end in (least, most))
    return low, high, float(f"{max((high - low) / 50, 10.0**-digits):.1g}")


def losses_at(drops: Sequence[float | None]) -> str:
    """Points of accuracy lost, by rising ratio.

    >>> losses_at([0.001, 0.0345, None])
    '0.1 · 3.5 · –'
    """
    return " · ".join("–" if drop is None else f"{100 * drop:.1f}".replace("-", "−") for drop in drops)
