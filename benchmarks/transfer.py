"""What pretrained weights are worth: the digits 5 to 9 from few samples a class, by a network that knows 0 to 4.

    python benchmarks/transfer.py [MODEL]

For each number of training samples a class the same samples are learned from scratch and by each way of transfer, with
default settings but 40 epochs; accuracy on all samples that were not learned from, mean and spread over the seeds.
"""

import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import chainrule as cr

SEEDS, EPOCHS = range(5), 40
EACH = (5, 10, 20, 50, 100)
WAYS = ("scratch", "head", "features", "all")


def images(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Some of the digits, as images."""
    x, y = load_digits(return_X_y=True)
    return (x[chosen] * 255 / 16).astype(np.uint8).reshape(-1, 1, 8, 8), y[chosen]


def main(model: str) -> None:
    digits = load_digits().target
    # Three of five samples are learned from, one chooses the epoch, one is left to `fit`'s own test.
    shares = "0.6,0.2,0.2"
    with tempfile.TemporaryDirectory() as folder:
        base = cr.fit(images(np.flatnonzero(digits < 5)), model=model, out=Path(folder) / "base", epochs=EPOCHS)
        print(f"{model}, base {base.test['accuracy']:.3f} on 0 to 4; accuracy on the rest of 5 to 9, std over seeds")
        print("a class  " + "  ".join(f"{way:>14}" for way in WAYS))
        for each in EACH:
            cells = []
            for way in WAYS:
                found = []
                for seed in SEEDS:
                    order = np.random.default_rng(seed).permutation(len(digits))
                    chosen = np.concatenate([order[digits[order] == d][: round(each / 0.6)] for d in range(5, 10)])
                    rest = np.setdiff1d(np.flatnonzero(digits >= 5), chosen)
                    given = {} if way == "scratch" else {"weights": base.directory, "transfer": way}
                    out = Path(folder) / f"{each}-{way}-{seed}"
                    run = cr.fit(
                        images(chosen), model=model, out=out, epochs=EPOCHS, fractions=shares, seed=seed, **given
                    )
                    x, y = images(rest)
                    found.append(float((run.predict(x) == y).mean()))
                cells.append(f"{statistics.mean(found):.3f} ({statistics.stdev(found):.3f})")
            print(f"{each:>7}  " + "  ".join(f"{cell:>14}" for cell in cells), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:2] or ("lenet5",))
