"""Formatting of the numbers and texts that the page shows."""

from __future__ import annotations


def cut(text: str, characters: int) -> str:
    """Shorten a text to this number of characters. The last one is an ellipsis if text was removed."""
    return text if len(text) <= characters else text[: characters - 1] + "…"


def excerpt(text: str, characters: int) -> str:
    """Show the beginning of a text on one line, with ↵ for one or more line ends."""
    return " ↵ ".join(line.strip() for line in cut(text, characters).splitlines() if line.strip())


def count(number: int) -> str:
    """Format a count as ``1,234,567``."""
    return f"{number:,}"


def short_count(number: float) -> str:
    """Format a count for axes and headlines with at most three digits: ``66.1 M``."""
    for factor, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= 0.9995 * factor:
            return f"{number / factor:.3g}{unit}"
    return f"{number:.3g}"


def size(size_bytes: int) -> str:
    """Format bytes as ``382.6 MB``, in powers of 1,000."""
    for factor, unit in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size_bytes >= factor:
            return f"{size_bytes / factor:,.1f} {unit}"
    return f"{size_bytes} B"


def share(part: float, whole: float) -> str:
    """Format a share as ``3.4 %``. A share above 0 is never shown as ``0.0 %``."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    if 0 < percent < 0.05:
        return "< 0.1 %"
    return f"{percent:.1f} %"


def duration(seconds: float) -> str:
    """Format seconds as ``9.2 s``, ``3 min 12 s`` or ``2 h 05 min``."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def plural(number: int, noun: str) -> str:
    """Format a count and a noun as ``1 document`` or ``2 documents``."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"
