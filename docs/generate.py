"""Write the generated files: the catalogue, a page and JSON, from the registry; the concepts from ``concepts.tsv``.

Run it with ``make docs``. A test compares the files with what this one makes.
"""

import csv
import inspect
from itertools import groupby
from pathlib import Path

from chainrule import catalogue, registry
from chainrule.estimators.saving import KINDS as ESTIMATORS
from chainrule.metrics import MEANINGS
from chainrule.registry import Entry

ROOT = Path(__file__).parents[1]
NOTE = "<!-- Written by docs/generate.py; write `make docs` to write it again. -->"

TITLES = {
    "model": "Models",
    "classifier": "Classifiers",
    "regressor": "Regressors",
    "clusterer": "Clusterers",
    "transformer": "Transformers of features",
    "embedding": "Embeddings",
    "activation": "Activations",
    "initializer": "Initializers",
    "regularizer": "Regularizers",
    "preparation": "Preparations",
    "loss": "Losses",
    "metric": "Metrics",
    "optimizer": "Optimizers",
    "augmentation": "Augmentations",
    "schedule": "Schedules",
    "check": "Checks",
    "combiner": "Combiners of ensembles",
}

#: Checks of the contract suite that say under what a model runs, and their short names.
CONTRACTS = {
    "compiles_whole": "C",
    "exports_with_any_batch": "E",
    "takes_channels_last": "L",
    "trains_in_mixed_precision": "B",
    "is_built_without_memory": "M",
}
MODELS = [
    "*Parameters* are those of the constructor's defaults, for the source's input. Each network was tried in a small",
    "version with the same blocks (`tests/contracts/test_models.py`): **C** `torch.compile(fullgraph=True)`, traced",
    "forward and backward; **E** `torch.export` with any batch; **L** `channels_last`; **B** bfloat16 under autocast;",
    "**M** built on the `meta` device. Where a peer stands, tensors have the peer's names, so that its weights load",
    "strictly, and outputs agree. Networks that agree with torchvision have public weights: `--weights imagenet`.",
]


def pages() -> dict[str, str]:
    """The generated files, by their path in the repository."""
    return {
        "docs/catalogue.md": catalogue_page(),
        "docs/concepts.md": concepts_page(),
        "docs/metrics.md": metrics_page(),
        "src/chainrule/catalogue.json": catalogue.render(),
    }


def catalogue_page() -> str:
    """Every part that can be called by name, one section a kind, one table a family."""
    lines = [
        "# Catalogue",
        "",
        NOTE,
        "",
        "Every part that can be called by name, on the command line and in Python, with its options and defaults.",
        "A call is written as in Python: `mlp(width=256)`, or just `mlp`.",
    ]
    for kind in registry.ROOMS:
        rows = registry.entries(kind).values()
        if rows:
            lines += ["", f"## {TITLES[kind]}"]
        if kind == "model":
            lines += ["", *MODELS]
        if kind == ESTIMATORS[0]:
            lines += [
                "",
                "See [estimators.md](estimators.md). *Shards*: it learns from rows that lie on several processes.",
            ]
        families = sorted(rows, key=lambda entry: (entry.family, entry.name))
        for family, members in groupby(families, key=lambda entry: entry.family):
            lines += ["", f"### {family}", "", *table(kind, list(members))]
    return "\n".join(lines) + "\n"


def table(kind: str, entries: list[Entry]) -> list[str]:
    """The rows of one family."""
    if kind == "model":
        head = ["call", "what it is", "takes", "learns", "parameters", "passes", "agrees with", "source", "where"]
        rows = [
            [
                call(e),
                e.summary,
                ", ".join(e.inputs),
                ", ".join(e.targets),
                f"{e.parameters:,} at {'x'.join(map(str, e.shape))}" if e.parameters else "",
                passes(e),
                f"`{e.peer}`" if e.peer else "",
                e.paper,
                f"`{e.where}`",
            ]
            for e in entries
        ]
    elif kind in ESTIMATORS:
        head = ["call", "what it does", "shards", "peer", "source", "where"]
        rows = [
            [
                call(e),
                e.summary,
                "yes" if "shards" in e.laws else "",
                f"`{e.peer}`" if e.peer else "",
                e.paper,
                f"`{e.where}`",
            ]
            for e in entries
        ]
    else:
        head = ["call", "what it does", "source", "where"]
        rows = [[call(e), e.summary, e.paper, f"`{e.where}`"] for e in entries]
    return markdown(head, rows)


def passes(entry: Entry) -> str:
    """The contracts of ``CONTRACTS`` that a model keeps, by their short names."""
    kept = {check: short for check, short in CONTRACTS.items() if check not in entry.exceptions}
    if len(entry.sample) < 4:
        kept.pop("takes_channels_last", None)
    return " ".join(kept.values())


def call(entry: Entry) -> str:
    """The part's name with its options and their defaults."""
    parameters = inspect.signature(entry.build).parameters.values()
    options = [
        p.name if p.default is p.empty else f"{p.name}={written(p.default)}"
        for p in parameters
        if p.kind is p.KEYWORD_ONLY and p.name not in entry.preset
    ]
    return f"`{entry.name}({', '.join(options)})`" if options else f"`{entry.name}`"


def written(value: object) -> str:
    """A default as a reader writes it; what is long or made by a function is left to its page."""
    text = getattr(value, "__name__", repr(value))
    return text if len(text) <= 40 else "..."


def metrics_page() -> str:
    """What each metric says, in one sentence."""
    lines = [
        "# Metrics",
        "",
        NOTE,
        "",
        'Every metric of torchmetrics is at hand by name, `chainrule.metrics.metric("f1-score", task="binary")`, and',
        "`chainrule.metrics.explain(name)` gives its sentence. Those that are ours stand in the",
        "[catalogue](catalogue.md).",
        "",
        "| metric | what it says |",
        "| --- | --- |",
        *(f"| `{name}` | {sentence} |" for name, sentence in sorted(MEANINGS.items())),
    ]
    return "\n".join(lines) + "\n"


def concepts_page() -> str:
    """Where each concept of the course lives."""
    with (ROOT / "docs" / "concepts.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    lines = [
        "# Concepts",
        "",
        NOTE,
        "",
        f"Where {len(rows)} concepts of the course live, in the order of the course: in chainrule, or in the well-kept",
        "library that has them already. `nn` is `torch.nn`, `F` is `torch.nn.functional`.",
        "",
        *markdown(["concept", "where", "how"], [[row["id"], f"`{row['where']}`", row["how"]] for row in rows]),
    ]
    return "\n".join(lines) + "\n"


def markdown(head: list[str], rows: list[list[str]]) -> list[str]:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


if __name__ == "__main__":
    for name, text in pages().items():
        (ROOT / name).write_text(text, encoding="utf-8")
