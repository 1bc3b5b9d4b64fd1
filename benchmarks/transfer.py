"""What pretrained weights are worth: the digits 5 to 9 from few samples a class, by a network that knows 0 to 4.

    python benchmarks/transfer.py [MODEL]

For each number of training samples a class the same samples are learned from scratch and by each way of transfer, with
default settings but 40 epochs; accuracy on all samples that were not learned from, mean and spread over the seeds.
The last column is scikit-learn's linear SVM on the same principal components as ``features``.
"""

import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.svm import LinearSVC

import chainrule as cr
from chainrule.run import Run

SEEDS, EPOCHS = range(5), 40
EACH = (5, 20, 100)
# Three of five samples are learned from, one chooses the epoch, one is left to `fit`'s own test.
SHARES = "0.6,0.2,0.2"
WAYS = ("scratch", "head", "features", "all")


def images(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Some of the digits, as images."""
    x, y = load_digits(return_X_y=True)
    return (x[chosen] * 255 / 16).astype(np.uint8).reshape(-1, 1, 8, 8), y[chosen]


def peer(run: Run, chosen: np.ndarray, rest: np.ndarray, seed: int) -> float:
    """Accuracy of scikit-learn's SVM on what the run's preparation makes of the images."""
    train = cr.data.load(images(chosen), fractions=(0.6, 0.2, 0.2), seed=seed).train
    x, y = images(rest)
    with torch.no_grad():
        learned, unseen = (run.model[0](part).numpy() for part in (train.inputs, torch.from_numpy(x)))
    names = np.array(run.target.names).astype(int)
    svm = LinearSVC(C=1.0, max_iter=20_000).fit(learned, names[train.targets.numpy()])
    return float(svm.score(unseen, y))


def main(model: str) -> None:
    digits = load_digits().target
    with tempfile.TemporaryDirectory() as folder:
        base = cr.fit(images(np.flatnonzero(digits < 5)), model=model, out=Path(folder) / "base", epochs=EPOCHS)
        print(f"{model}, base {base.test['accuracy']:.3f} on 0 to 4; accuracy on the rest of 5 to 9, std over seeds")
        print("a class  " + "  ".join(f"{way:>14}" for way in (*WAYS, "scikit-learn")))
        for each in EACH:
            found: dict[str, list[float]] = {way: [] for way in (*WAYS, "scikit-learn")}
            for seed in SEEDS:
                order = np.random.default_rng(seed).permutation(len(digits))
                chosen = np.concatenate([order[digits[order] == d][: round(each / 0.6)] for d in range(5, 10)])
                rest = np.setdiff1d(np.flatnonzero(digits >= 5), chosen)
                x, y = images(rest)
                for way in WAYS:
                    given = {} if way == "scratch" else {"weights": base.directory, "transfer": way}
                    out = Path(folder) / f"{each}-{way}-{seed}"
                    run = cr.fit(
                        images(chosen), model=model, out=out, epochs=EPOCHS, fractions=SHARES, seed=seed, **given
                    )
                    found[way].append(float((run.predict(x) == y).mean()))
                    if way == "features":
                        found["scikit-learn"].append(peer(run, chosen, rest, seed))
            cells = (f"{statistics.mean(scores):.3f} ({statistics.stdev(scores):.3f})" for scores in found.values())
            print(f"{each:>7}  " + "  ".join(f"{cell:>14}" for cell in cells), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:2] or ("lenet5",))
