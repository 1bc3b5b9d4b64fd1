"""Networks as scikit-learn estimators: ``fit`` behind scikit-learn's contract, for pipelines, searches and ensembles.

>>> NeuralClassifier(model="mlp(width=32)", epochs=5).get_params()["model"]
'mlp(width=32)'

The rows that choose the best epoch are split off the rows that are learned from; preparation, range test of the rate,
schedule and loop are those of ``chainrule.fit``. Nothing is written to disk.
"""

from chainrule.neural.base import AbstractNeural
from chainrule.neural.estimators import NeuralClassifier, NeuralRegressor

__all__ = ["AbstractNeural", "NeuralClassifier", "NeuralRegressor"]
