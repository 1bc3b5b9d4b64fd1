"""From a DataFrame to a trained model, its verdict and its predictions, in Python.

    python examples/fit_from_python.py

The run is written to ``runs/``; ``report.html`` in it is the page to open.
"""

from sklearn.datasets import load_wine

import chainrule as cr

table = load_wine(as_frame=True).frame
table["class"] = table.pop("target").map({0: "barolo", 1: "grignolino", 2: "barbera"})

run = cr.fit(table, target="class", model="mlp(width=64)", epochs=30, seed=0)
print(f"test accuracy {run.test['accuracy']:.3f}, report in {run.directory}")

# The model takes raw rows: how to prepare them was learned on the training split and is saved with it.
again = cr.load_run(run.directory)
print(again.predict(table.head(3)))
print(again.predict_proba(table.head(3)).round(3))
