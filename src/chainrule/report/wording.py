"""Numbers, durations and counts as people write them; the same everywhere on the page."""

import math


def number(value: float | None) -> str:
    """Three decimals, or three significant digits where those would say nothing; a dash for what is not known."""
    if value is None or not math.isfinite(value):
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    size = abs(value)
    if size == 0 or 0.01 <= size < 10:
        # What is not quite perfect must not look perfect.
        decimals = 3 if not 0.9995 <= size < 1 else 4 if size < 0.99995 else 5
        text = f"{value:.{decimals}f}"
    elif 10 <= size < 1e6:
        text = f"{value:,.{2 if size < 100 else 1 if size < 1000 else 0}f}"
    else:
        text = power(value)
    return text.replace("-", "−")


def beside(reference: float | None, value: float | None) -> str:
    """A number to compare ``value`` with: next to 0.28, a reference of -0.00009 is 0.000."""
    if reference is None or value is None or not abs(reference) < 5e-4 < abs(value):
        return number(reference)
    return number(0.0)


def percent(share: float | None) -> str:
    """``97 %``; never 100 % for what is less, nor 0 % for what is more."""
    if share is None:
        return "–"
    decimals = 0 if 0.005 <= share < 0.995 or share in (0, 1) else 1
    text = f"{100 * min(share, 0.999 if share < 1 else 1):.{decimals}f}"
    return "< 0.1 %" if text == "0.0" and share else f"{text} %"


def rate(value: float) -> str:
    """A learning rate: three significant digits, never more zeros than digits help."""
    return f"{value:.3g}" if 1e-4 <= abs(value) < 1e4 or not value else power(value)


def power(value: float) -> str:
    """``2.5·10⁻⁵``: a number with its power of ten; the factor 1 is left out."""
    factor, exponent = f"{value:.2e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    factor = factor.rstrip("0").rstrip(".")
    return f"10{raised}" if factor == "1" else f"{factor}·10{raised}"


def duration(seconds: float) -> str:
    """``0.8 s``, ``41 s``, ``3 min 12 s``, ``2 h 5 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def memory(mebibytes: float) -> str:
    """``412 MiB`` or ``1.8 GiB``."""
    return f"{mebibytes:.0f} MiB" if mebibytes < 1000 else f"{mebibytes / 1024:.1f} GiB"


def counted(count: int, noun: str, plural: str = "") -> str:
    """``1 warning``, ``2 warnings``, ``1,437 samples``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def clipped(text: str, most: int) -> str:
    """At most that many characters, and none that cannot be drawn."""
    text = "".join(letter if letter.isprintable() else "·" for letter in text)
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
