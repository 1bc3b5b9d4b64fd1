"""Metrics by name, and those that torchmetrics lacks, in its protocol: ``update``, ``compute``, ``reset``.

Everything that torchmetrics has is torchmetrics'. What is here keeps sums only, so that it is exact over batches and
over processes, however unevenly the samples are shared out. Loading torchmetrics takes about a second, so nothing of
it is loaded before it is asked for.
"""

import importlib
import inspect
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chainrule import registry
from chainrule.errors import UnknownNameError
from chainrule.metrics.meaning import MEANINGS

__all__ = [
    "MEANINGS",
    "MultilabelOneError",
    "PairwiseCorrelation",
    "PairwiseDisagreement",
    "PairwiseDoubleFault",
    "PairwiseKappa",
    "PairwiseQ",
    "bias_variance",
    "explain",
    "known",
    "metric",
]

if TYPE_CHECKING:
    from torchmetrics import Metric

    from chainrule.metrics.decomposition import bias_variance
    from chainrule.metrics.diversity import (
        PairwiseCorrelation,
        PairwiseDisagreement,
        PairwiseDoubleFault,
        PairwiseKappa,
        PairwiseQ,
    )
    from chainrule.metrics.ranking import MultilabelOneError
else:
    _PLACES = {
        "bias_variance": "decomposition",
        "MultilabelOneError": "ranking",
        **{name: "diversity" for name in __all__ if name.startswith("Pairwise")},
    }

    def __getattr__(name: str) -> object:
        if name not in _PLACES:
            raise AttributeError(f"chainrule.metrics has no {name!r}.")
        return getattr(importlib.import_module(f"chainrule.metrics.{_PLACES[name]}"), name)


# The shelves of torchmetrics whose metrics take tensors or texts and nothing that must be downloaded.
_SHELVES = ("classification", "regression", "segmentation", "clustering", "nominal", "retrieval", "text", "image")


def known() -> dict[str, Callable[..., "Metric"]]:
    """All metrics by name: torchmetrics' as ``"multiclass-f1-score"``, and ours."""
    from torchmetrics import Metric

    found: dict[str, Callable[..., Metric]] = {}
    for shelf in _SHELVES:
        module = importlib.import_module(f"torchmetrics.{shelf}")
        classes = {name: getattr(module, name) for name in module.__all__}
        found |= {_hyphens(name): item for name, item in classes.items() if issubclass(item, Metric)}
    return found | {name: entry.build for name, entry in registry.entries("metric").items()}


def metric(name: str, **options: Any) -> "Metric":
    """Build a metric by its name: ``"accuracy"``, ``"multiclass-f1-score(num_classes=3)"``, ``"pairwise-q"``.

    >>> metric("multiclass-accuracy", num_classes=3)
    MulticlassAccuracy()

    Args:
        name: The name, with options if need be. Case, hyphens and underscores make no difference, so torchmetrics' own
            spelling is right, too.
        options: Further options of the metric.

    Raises:
        UnknownNameError: When there is no such metric; the sentence names the nearest.
        InputError: When the metric does not know an option, or refuses its value.
    """
    call = registry.parse(name)
    spelled, build = _find(call.name)
    built: Metric = registry.call(build, {**call.options, **options}, spelled)
    return built


def explain(name: str) -> str:
    """What a metric says, in one sentence.

    >>> explain("multilabel-hamming-distance")
    'Share of all single answers that are wrong: labels or classes.'

    Args:
        name: A name as in :func:`metric`; without the task in front if it is a matter of the task.

    Raises:
        UnknownNameError: When there is no such metric; the sentence names the nearest.
    """
    meanings = {_key(spelled): sentence for spelled, sentence in MEANINGS.items()}
    key = _key(name)
    general = re.sub("^(binary|multiclass|multilabel)", "", key)
    if sentence := meanings.get(key) or meanings.get(general):
        return sentence
    _, build = _find(name)
    # References such as `Dunn Index`_ are marked up in torchmetrics' texts.
    first = (inspect.getdoc(build) or "").split("\n")[0]
    return re.sub(r"`([^`]*)`_?", r"\1", first).replace(" .", ".")


def _find(name: str) -> tuple[str, Callable[..., "Metric"]]:
    metrics = known()
    for spelled, build in metrics.items():
        if _key(spelled) == _key(name):
            return spelled, build
    raise UnknownNameError("metric", name, metrics)


def _key(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _hyphens(name: str) -> str:
    """``MulticlassF1Score`` as ``multiclass-f1-score``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()
