"""What networks as scikit-learn estimators have in common: options, samples in, training, outputs."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Self, get_type_hints

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from chainrule import models, seeding
from chainrule.config import DATA, Config, configure
from chainrule.data import Data
from chainrule.data.sources.arrays import as_array
from chainrule.data.sources.columns import encode, infer, named
from chainrule.data.sources.memory import in_memory, strata
from chainrule.data.spec import Inputs, Target, Vector, maps_of
from chainrule.data.splits import Indices, split
from chainrule.errors import InputError, NotFiniteError
from chainrule.estimators import arrays
from chainrule.models import assembly
from chainrule.training import loop
from chainrule.training.events import Epoch
from chainrule.training.machine import Machine
from chainrule.training.plan import Plan

#: Options that are settings of ``fit``, too.
SHARED = ("epochs", "batch", "rate", "optimizer", "weight_decay")
#: Fewest rows: two to learn from, two to choose by.
LEAST = 4


class AbstractNeural(BaseEstimator, ABC):
    """What both estimators have in common.

    Args:
        model: Call of a registered network, ``"mlp(width=64)"``; ``"module:factory"``; ``"auto"``; or a module, of
            which each fit trains a copy, from the weights that it has.
        epochs: Passes over the training rows; None is about 1500 steps, 20 to 200 epochs.
        batch: Samples per step; None is 64, fewer for less than 640 rows.
        rate: Learning rate, or ``"auto"`` for a range test.
        optimizer: Any optimizer by name, with options: ``"sgd(momentum=0.9)"``.
        weight_decay: Weight decay; None is the optimizer's own.
        validation: Share of the rows that chooses the best epoch and is not learned from; None keeps no row back, and
            the last epoch stays.
        shape: Shape of an image ``(channels, height, width)`` or of a volume, of which each row holds the numbers; None
            for tables.
        settings: Any other setting of ``chainrule.fit`` but those of its data, as ``{"schedule": "step"}``.
        random_state: Seed of the weights, the order and the validation rows, that of ``chainrule.fit`` if it is an
            integer; None draws one from NumPy's generator.

    Attributes:
        model_: The whole model with its best weights: raw inputs to probabilities or target units.
        inputs_: What a raw input is.
        history_: A dictionary for each epoch, with ``train``, ``valid``, ``best``, ``rate`` and more; where no row is
            kept back, ``valid`` is measured on the training rows.
        rate_: The learning rate.
        n_iter_: Epochs that were trained.
        best_epoch_: Epoch whose weights stay.
        n_features_in_: Numbers, or columns, of a row.
        feature_names_in_: Names of the columns, where all of them are texts.
    """

    def __init__(
        self,
        *,
        model: str | nn.Module = "auto",
        epochs: int | None = None,
        batch: int | None = None,
        rate: float | str = "auto",
        optimizer: str = "adamw",
        weight_decay: float | None = None,
        validation: float | None = 0.15,
        shape: tuple[int, ...] | None = None,
        settings: Mapping[str, Any] | None = None,
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.epochs = epochs
        self.batch = batch
        self.rate = rate
        self.optimizer = optimizer
        self.weight_decay = weight_decay
        self.validation = validation
        self.shape = shape
        self.settings = settings
        self.random_state = random_state

    @abstractmethod
    def _targets(self, y: Any, rows: int) -> tuple[Target, Tensor]:
        """What is to be learned, and its values as the spec of the target says."""

    def fit(self, X: Any, y: Any) -> Self:
        """Train the network.

        Args:
            X: Samples: an array or tensor ``[n, d]``, or ``[n, *shape]`` for images; or a DataFrame, whose columns may
                be categories, dates and texts, too. Cells of a table may be missing.
            y: Classes ``[n]``, or real targets ``[n]`` or ``[n, k]``.

        Returns:
            The estimator itself.

        Raises:
            InputError: When the options, the samples and the targets do not go together.
            NotFiniteError: When the loss or a gradient is not finite.
        """
        config = self._config()
        # scikit-learn says by itself where y is lacking.
        given = self._checked(X, None if y is None else "no_validation", reset=True)
        target, targets = self._targets(y, len(given))
        if len(given) < LEAST:
            raise InputError(f"{type(self).__name__} learns from at least {LEAST} rows; {len(given)} sample(s) came.")
        train, valid = self._parts(target, targets, config.seed)
        self.inputs_: Inputs = self._inputs(given, train)
        # No row is kept for a test: that is the caller's business.
        parts = (train, valid, valid)
        data = in_memory(self._encoded(given), targets, parts, name="rows", specs=(self.inputs_, target))
        self._train(self._plan(config, data))
        return self

    def _config(self) -> Config:
        """The settings of ``fit`` that the options mean."""
        settings = dict(self.settings or {})
        headings = {name: hint.__metadata__[0] for name, hint in get_type_hints(Config, include_extras=True).items()}
        own = (*SHARED, "model", "seed")
        for name in settings:
            if name in own:
                option = "random_state" if name == "seed" else name
                raise InputError(
                    f"settings={settings!r} holds {name!r}, which is an option itself; write {option}=...."
                )
            if headings.get(name) == DATA and name != "prepare":
                raise InputError(
                    f"settings={settings!r} holds {name!r}, which says how data is loaded, but here it comes as X and "
                    "y; leave it out."
                )
        if settings.get("patience") is not None and self.validation is None:
            raise InputError("patience needs rows to choose by; write validation=0.15, or leave patience out.")
        for name in SHARED:
            value = getattr(self, name)
            # Searches give numbers of NumPy.
            settings[name] = value.item() if isinstance(value, np.generic) else value
        drawn = isinstance(self.random_state, int | np.integer)
        seed = int(self.random_state if drawn else check_random_state(self.random_state).randint(2**31))
        return configure({**settings, "model": self.model if isinstance(self.model, str) else "auto", "seed": seed})

    def _checked(self, X: Any, y: Any = "no_validation", *, reset: bool) -> pd.DataFrame | np.ndarray:
        """Samples after scikit-learn's checks: a table where the estimator learns from one, else numbers ``[n, d]``."""
        if isinstance(X, Tensor):
            X = as_array(X)
        if self.shape is not None and np.ndim(X) > 2:
            X = np.reshape(X, (len(X), -1))
        if reset:
            self._table = self.shape is None and isinstance(X, pd.DataFrame)
        if not self._table:
            finite = "allow-nan" if self.shape is None else True
            samples: np.ndarray = validate_data(self, X, y, reset=reset, dtype=np.float64, ensure_all_finite=finite)
            return samples
        frame = named(pd.DataFrame(X))
        validate_data(self, X, y, reset=reset, skip_check_array=True)
        return frame.set_axis(getattr(self, "feature_names_in_", [f"x{i}" for i in range(frame.shape[1])]), axis=1)

    def _parts(self, target: Target, targets: Tensor, seed: int) -> tuple[Indices, ...]:
        """Positions of the rows that are learned from, and of those that choose the epoch."""
        rows = len(targets)
        if self.validation is None:
            return np.arange(rows), np.arange(rows)
        if not 0 < self.validation < 1:
            raise InputError(f"validation must be a share between 0 and 1, or None; received {self.validation!r}.")
        # A single row has no R2.
        share = max(self.validation, 2 / rows)
        return split(rows, fractions=(1 - share, share), seed=seed, strata=strata(target, targets))

    def _inputs(self, given: pd.DataFrame | np.ndarray, train: Indices) -> Inputs:
        """What a raw input is."""
        if isinstance(given, pd.DataFrame):
            return infer(given, train)[0]
        if self.shape is None:
            return Vector.numbers(given.shape[1])
        if len(self.shape) not in (3, 4) or np.prod(self.shape) != given.shape[1]:
            raise InputError(
                f"shape must be (channels, height, width) with {given.shape[1]} numbers, as many as a row has; "
                f"received {self.shape!r}."
            )
        return maps_of(self.shape, white=float(np.abs(given).max()) or 1.0)

    def _encoded(self, given: pd.DataFrame | np.ndarray) -> Tensor:
        """Checked samples as raw inputs."""
        if isinstance(self.inputs_, Vector):
            return encode(given if isinstance(given, pd.DataFrame) else arrays.tensor(given), self.inputs_)
        return arrays.tensor(given).float().reshape(-1, *self.inputs_.shape)

    def _plan(self, config: Config, data: Data) -> Plan:
        """A run of ``fit`` that is ready to go."""
        network = copy.deepcopy(self.model) if isinstance(self.model, nn.Module) else None
        call = type(network).__name__ if network is not None else config.model
        call = models.default(data.inputs) if call == "auto" else call
        row = models.row(call) if network is None else None
        if row is not None and row.kind in models.ESTIMATORS:
            raise InputError(
                f"{call} is an estimator by itself and no network, so it needs no {type(self).__name__}; take "
                f"{row.build.__name__} as it is."
            )
        machine = Machine(precision=config.precision, device=config.device)
        return Plan.build(config, data, call=call, network=network, machine=machine)

    def _train(self, plan: Plan) -> None:
        """Train as a session does, with the best weights in memory."""
        # What accelerate adds to the modules that it trains does not go into the one that stays.
        model, best = copy.deepcopy(plan.model), None
        self.history_: list[dict[str, Any]] = []
        with seeding.preserved():
            self.rate_: float = plan.config.fixed_rate or plan.rate_test().rate
            training = plan.training(self.rate_)
            seeding.seed_all(plan.config.seed, seeding.NETWORK, plan.machine.rank)
            events = loop.train(training)
            while training.ended(plan.config.patience) is None:
                event = next(events)
                if isinstance(event, Epoch):
                    self.history_.append(asdict(event))
                    if event.best and self.validation is not None:
                        best = copy.deepcopy(plan.model.state_dict())
        if self.validation is not None and best is None:
            raise NotFiniteError(
                f"The valid {plan.config.monitor} was never a number, so none is the best; write a smaller rate."
            )
        model.load_state_dict(plan.model.state_dict() if best is None else best)
        self.model_: nn.Sequential = model.to(plan.machine.device).eval()
        self.n_iter_ = len(self.history_)
        self.best_epoch_: int = self.n_iter_ if best is None or training.best is None else training.best[1]

    def _outputs(self, X: Any) -> Tensor:
        """The model's outputs ``[n, k]``."""
        check_is_fitted(self, "model_")
        return assembly.run(self.model_, self._encoded(self._checked(X, reset=False)))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.shape is None
        return tags
