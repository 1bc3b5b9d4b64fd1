"""Every setting of a run in one place.

``fit`` takes the fields as keywords, the command line takes them as options, ``config.json`` holds them: one definition
for the three. The text beside a field is its help. This file imports nothing slow, because ``--help`` is made from it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from os import PathLike
from typing import Annotated, Any, get_type_hints

from chainrule.errors import InputError, UnknownNameError

# Under which heading a setting stands in the help.
DATA, MODEL, LOSS, MACHINE = "Data", "Model and optimizer", "Loss and regularization", "Machine"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of ``fit``; each has a default that is meant to work.

    Raises:
        InputError: When a value is out of its range.
    """

    target: Annotated[str | None, DATA, "Column to predict; several separated by commas."] = None
    kind: Annotated[str | None, DATA, "What the target is: classes, labels or real. Default: inferred."] = None
    group: Annotated[str | None, DATA, "Column whose equal values stay in one split, such as a patient."] = None
    ordered: Annotated[str | None, DATA, "Column of time: train on the earliest rows, test on the latest."] = None
    categorical: Annotated[str, DATA, "Columns to treat as categories, separated by commas."] = ""
    missing: Annotated[str, DATA, "Further texts that mean 'missing', separated by commas."] = ""
    size: Annotated[int | None, DATA, "Side to which images are resized, in pixels."] = None
    fractions: Annotated[str, DATA, "Shares of train, valid and test."] = "0.65,0.15,0.2"
    fold: Annotated[
        str | None, DATA, "Cross-validation: '2/5' validates on the second fifth of all rows but the test split's."
    ] = None
    prepare: Annotated[
        str,
        DATA,
        "Images: standardize, minmax, mean-image, zca. Tables, once encoded: standardize, minmax, pca, zca. Both: any "
        "transformer of features.",
    ] = "standardize"

    model: Annotated[
        str,
        MODEL,
        "Network or estimator by name with options, 'mlp(width=128)' or 'svm(C=10)', your own 'module:factory', or a "
        "dotted name, sklearn.ensemble.RandomForestClassifier.",
    ] = "auto"
    init: Annotated[
        str | None, MODEL, "Initializer of the weights: kaiming, xavier-normal, ... Default: the model's."
    ] = None
    weights: Annotated[
        str | None, MODEL, "Start from these weights: a file, the directory of a run, or imagenet (public ones)."
    ] = None
    transfer: Annotated[
        str | None,
        MODEL,
        "What of them learns: head, all, or features (PCA and an SVM on them). Default: auto, by the samples a class.",
    ] = None
    epochs: Annotated[
        int | None, MODEL, "Passes over the training split. Default: about 1500 steps, 20 to 200 epochs."
    ] = None
    batch: Annotated[
        int | None, MODEL, "Samples per step, over all processes. Default: 64, fewer for less than 640 samples."
    ] = None
    rate: Annotated[str, MODEL, "Learning rate, or 'auto' for a range test."] = "auto"
    optimizer: Annotated[str, MODEL, "Any optimizer of torch or ours by name, with options: 'sgd(momentum=0.9)'."] = (
        "adamw"
    )
    schedule: Annotated[str, MODEL, "How the rate moves: cosine, constant, step, ..., or a torch scheduler."] = "cosine"
    weight_decay: Annotated[float | None, MODEL, "Weight decay. Default: the optimizer's own."] = None
    clip: Annotated[float | None, MODEL, "Clip the gradient to this norm."] = None
    clip_value: Annotated[float | None, MODEL, "Clip each component of the gradient to this value."] = None

    loss: Annotated[
        str | None, LOSS, "Loss by name: 'focal(gamma=2)', hinge, ... for classes; l1, huber, ... for real targets."
    ] = None
    label_smoothing: Annotated[
        float | None, LOSS, "Share of the target spread evenly over classes or labels. Default: 0.1 for classes."
    ] = None
    balance: Annotated[bool, LOSS, "Weight classes (or labels) inversely to how often they occur."] = False
    regularize: Annotated[str, LOSS, "On the weights: 'elastic(l1=1e-4, l2=1e-4)', 'max-norm(limit=3)', or both."] = ""
    augment: Annotated[str, LOSS, "Augmentations for images, 'crop, hflip'; 'none'; 'auto' is crop."] = "auto"
    patience: Annotated[int | None, LOSS, "Stop after this many epochs without a better one."] = None
    monitor: Annotated[str, LOSS, "Validation metric that chooses the best epoch."] = "loss"

    precision: Annotated[str, MACHINE, "fp32 or bf16 (mixed)."] = "fp32"
    device: Annotated[str, MACHINE, "auto (whatever accelerate finds) or cpu."] = "auto"
    accumulate: Annotated[int, MACHINE, "Cut each batch into this many pieces to save memory; same result."] = 1
    workers: Annotated[int, MACHINE, "Processes that read images which do not fit in memory."] = 2
    checkpoint_every: Annotated[float, MACHINE, "Seconds between checkpoints within an epoch."] = 30.0
    seed: Annotated[int, MACHINE, "Seed of the splits and of everything random."] = 0

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("rate", "fractions") and not isinstance(value, str):
                # A number or a tuple is as good as its text; the text is what config.json and the command line show.
                value = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
                object.__setattr__(self, field.name, value)
            elif field.name in ("target", "categorical", "missing") and isinstance(value, list | tuple):
                object.__setattr__(self, field.name, ",".join(map(str, value)))
            elif field.name == "weights" and isinstance(value, PathLike):
                object.__setattr__(self, field.name, str(value))
            elif hints[field.name] in (float, float | None) and isinstance(value, int) and not isinstance(value, bool):
                object.__setattr__(self, field.name, float(value))
            elif not isinstance(value, hints[field.name]):
                wanted = str(getattr(hints[field.name], "__name__", hints[field.name])).removesuffix(" | None")
                raise InputError(f"{field.name} must be {wanted}; received {value!r}.")
        self._check_ranges()

    def _check_ranges(self) -> None:
        positive = ("size", "epochs", "batch", "clip", "clip_value", "patience", "accumulate")
        for name in positive:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name} must be greater than 0; received {value!r}.")
        for name in ("weight_decay", "workers", "checkpoint_every", "seed"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise InputError(f"{name} must not be negative; received {value!r}.")
        if self.label_smoothing is not None and not 0 <= self.label_smoothing < 1:
            raise InputError(f"label_smoothing must be from 0 up to, but not, 1; received {self.label_smoothing!r}.")
        for name, allowed in CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in allowed:
                raise UnknownNameError(f"value of {name}", str(value), allowed)
        if self.clip is not None and self.clip_value is not None:
            raise InputError("clip and clip_value were both given; write one of them.")
        if self.rate != "auto":
            self.fixed_rate  # noqa: B018 - reading it checks it
        self.shares  # noqa: B018
        self.folded  # noqa: B018

    @property
    def fixed_rate(self) -> float | None:
        """The learning rate as a number, or None for ``"auto"``."""
        if self.rate == "auto":
            return None
        try:
            rate = float(self.rate)
        except ValueError:
            rate = float("nan")
        if not 0 < rate < float("inf"):
            raise InputError(f"rate must be a number greater than 0, or 'auto'; received {self.rate!r}.")
        return rate

    @property
    def shares(self) -> tuple[float, float, float]:
        """The fractions of train, valid and test as numbers."""
        try:
            train, valid, test = (float(part) for part in self.fractions.split(","))
        except ValueError as error:
            raise InputError(
                f"fractions must be three numbers as in '0.65,0.15,0.2'; received {self.fractions!r}."
            ) from error
        if min(train, valid, test) <= 0 or abs(train + valid + test - 1) > 1e-6:
            raise InputError(f"fractions must be greater than 0 and sum to 1; received {self.fractions!r}.")
        return train, valid, test

    @property
    def folded(self) -> tuple[int, int] | None:
        """Which fold validates, and of how many, as ``(2, 5)``; None for the split by fractions."""
        if self.fold is None:
            return None
        which, slash, many = self.fold.partition("/")
        if not (slash and which.isdecimal() and many.isdecimal() and 1 <= int(which) <= int(many) and int(many) > 1):
            raise InputError(f"fold must be a fold and the number of folds, as in '2/5'; received {self.fold!r}.")
        return int(which), int(many)

    def to_json(self) -> dict[str, Any]:
        """The settings as plain values."""
        return asdict(self)

    def refuse_for_estimators(self, model: str) -> None:
        """Raise an ``InputError`` when something is set that only the training of a network has."""
        idle = [name for name in self.changes() if name in NETWORKS]
        if idle:
            raise InputError(
                f"{model} is an estimator and learns all at once, not in a training loop, so {idle[0]} has no meaning; "
                "leave it out, or give the estimator's own options, as in --model 'svm(C=10)'."
            )

    def changes(self) -> dict[str, Any]:
        """The settings that differ from their defaults."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) != field.default}


# What only the training of a network has.
NETWORKS = (
    *("init", "weights", "transfer", "epochs", "batch", "rate", "optimizer", "schedule", "weight_decay", "clip"),
    *("clip_value", "loss", "label_smoothing", "regularize", "augment", "patience", "monitor", "precision"),
    *("accumulate", "checkpoint_every"),
)
CHOICES = {
    "kind": ("classes", "labels", "real"),
    "precision": ("fp32", "bf16"),
    "device": ("auto", "cpu"),
    "transfer": ("auto", "head", "features", "all"),
}


def configure(settings: Mapping[str, Any]) -> Config:
    """The :class:`Config` with these settings.

    Raises:
        UnknownNameError: For a setting that does not exist; the sentence names the nearest.
        InputError: For a value out of its range.
    """
    known = [field.name for field in fields(Config)]
    for name in settings:
        if name not in known:
            raise UnknownNameError("setting of fit", name, known)
    return Config(**settings)
