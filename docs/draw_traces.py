"""Draw the computation graphs of ``docs/trace.md``.

Run it with ``python docs/draw_traces.py``. It writes the same bytes each time.
"""

from pathlib import Path

from chainrule.anatomy.trace import trace

PICTURES = Path(__file__).parent / "pictures"


def pictures() -> dict[str, str]:
    """The pictures, by their names in ``docs/pictures``."""
    neuron = trace("y - relu(w*x + b)", y=5, w=2, x=1, b=1)
    return {"trace-neuron.svg": neuron.svg(), "trace-paths.svg": trace("x**2/x + 1/x**2", x=2).svg()}


if __name__ == "__main__":
    for name, svg in pictures().items():
        (PICTURES / name).write_text(svg, encoding="utf-8")
