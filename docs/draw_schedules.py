"""Write ``docs/schedules.md`` and its pictures: each schedule of the registry, as it moves the rate in ``fit``.

Run it with ``python docs/draw_schedules.py``. It writes the same bytes each time.
"""

import io
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.figure import Figure

from chainrule import registry
from chainrule.optim import build_schedule

DOCS = Path(__file__).parent
NOTE = "<!-- Written by docs/draw_schedules.py; run it to write it again. -->"
EPOCHS, STEPS = 40, 25

# The calls that are drawn; what is not said is filled from the run.
CALLS = {
    "constant": "constant(warmup=0.1)",
    "linear": "linear(floor=0.1)",
    "cosine": "cosine",
    "noam": "noam(warmup=0.1)",
    "step": "step(every=10, factor=0.5)",
    "multistep": "multistep(at=(20, 30), factor=0.3)",
    "exponential": "exponential(k=0.1)",
    "inverse_time": "inverse_time(k=0.2)",
    "inverse_sqrt": "inverse_sqrt(k=1)",
    "triangular": "triangular(half=5)",
    "triangular2": "triangular2(half=5)",
    "exp_range": "exp_range(half=5)",
    "sgdr": "sgdr(period=5, growth=2)",
    "plateau": "plateau(factor=0.5, patience=3)",
}

INTRO = f"""# Schedules

{NOTE}

How the learning rate moves over a run. A schedule is called by its name,
`chainrule fit DATA --schedule "step(every=10)"`, or in Python:

```python
import torch
from chainrule.optim import build_schedule
from chainrule.optim.curves import triangular

weight = torch.nn.Parameter(torch.zeros(1))
optimizer = torch.optim.SGD([weight], lr=0.1)
schedule = build_schedule("sgdr(period=10, growth=2)", optimizer, rate=0.1, epochs=30, steps=100)

# or alone, with torch's own scheduler; the time is then counted in steps
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, triangular(half=2000, low=1 / 6))
```

- The rate that was asked for is the highest; a schedule is a factor on it, drawn here from 0 to 1.
- In `fit` the time `t` is counted in epochs and moves with every batch. `warmup` is a share of the run.
- `over`, `every`, `at` and `k`, where they are not said, come from the length of the run: the whole of it, a third, 1/2
  and 3/4, and log(100) / epochs, with which an exponential ends at 1 %.
- A step has the rate that the schedule has when the step begins. Schedules with a warm-up begin at zero; they are read
  in the middle of each step.
- Any scheduler of `torch.optim.lr_scheduler` can be called by its class name: `"OneCycleLR"`, `"StepLR(step_size=10)"`.
  It moves once an epoch; `OneCycleLR` and `CyclicLR` move with every batch.
- `chainrule.optim.scaled_rate(0.1, batch=1024, base=256)` scales a rate with the batch size.
- `chainrule.optim.robbins_monro(factor)` says whether a schedule meets the conditions of Robbins and Monro 1951: the
  rates sum to infinity, and their squares do not.

The pictures show a run of {EPOCHS} epochs of {STEPS} steps."""


def rates(call: str) -> list[float]:
    """The rate of each step of a run whose metric falls for 15 epochs, for 5 from the 24th on, and else stays."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = build_schedule(call, optimizer, rate=1.0, epochs=EPOCHS, steps=STEPS)
    found, metric = [], 2.0
    for epoch in range(EPOCHS):
        for _ in range(STEPS):
            found.append(float(optimizer.param_groups[0]["lr"]))
            optimizer.step()
            schedule.after_batch()
        metric -= 0.05 if epoch < 15 or 23 <= epoch < 28 else 0.0
        schedule.after_epoch(metric)
    return found


def picture(call: str) -> bytes:
    """The rate over the epochs, as SVG; in colours that can be seen on light and on dark pages."""
    grey, blue = "#808080", "#3b82c4"
    settings = {"svg.hashsalt": "chainrule", "svg.fonttype": "none", "font.size": 9, "font.family": "sans-serif"}
    with mpl.rc_context(settings):
        figure = Figure(figsize=(4.6, 1.7), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([done / STEPS for done in range(EPOCHS * STEPS)], rates(call), color=blue, linewidth=1.8)
        axes.set(xlim=(0, EPOCHS), ylim=(0, 1.05), xticks=range(0, EPOCHS + 1, 10), yticks=(0, 0.5, 1))
        axes.set_xlabel("epoch", color=grey)
        axes.tick_params(colors=grey, length=0)
        axes.grid(color=grey, alpha=0.3, linewidth=0.6)
        axes.spines[:].set_visible(False)
        file = io.BytesIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return file.getvalue()


def page() -> str:
    """The page."""
    entries = registry.entries("schedule")
    parts = [INTRO]
    for name, call in CALLS.items():
        entry = entries[name]
        source = f"\n\n{entry.paper}." if entry.paper else ""
        parts.append(f"## {name}\n\n{entry.summary}{source}\n\n`{call}`\n\n![{call}](pictures/schedule-{name}.svg)")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    (DOCS / "pictures").mkdir(exist_ok=True)
    (DOCS / "schedules.md").write_text(page(), encoding="utf-8")
    for name, call in CALLS.items():
        (DOCS / "pictures" / f"schedule-{name}.svg").write_bytes(picture(call))
