"""Preparation of raw inputs: modules that learn from the training split and live inside the saved model.

A loaded model therefore takes raw rows and raw images. What was learned stands in buffers and moves with the
``state_dict``; ``options()`` are plain values that build the same module again::

    module = TableEncoder.learn(columns, raw)
    again = TableEncoder(**module.options())
    again.load_state_dict(module.state_dict())
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any, Self

import torch
from torch import nn

from chainrule.errors import InputError, listing
from chainrule.registry import register
from chainrule.shapes import Float, Shaped, Tensor

_DAYS_OF_YEAR = 365.2425
_DAYS_OF_WEEK = 7.0
_UNSEEN = -1.0


@register("preparation", "standardize", tiny={"features": 3}, sample=(4, 3))
class Standardize(nn.Module):
    """Brings each feature, or each channel of an image, to mean 0 and standard deviation 1 over the training split.

    Moments are merged chunk by chunk in float64 (Chan, Golub and LeVeque 1983), so that neither the size of the chunks
    nor a mean far from zero changes them. A float64 input, such as a row of a table with time stamps, is shifted and
    scaled before it becomes float32.

    Args:
        features: Features ``d`` of a row, or channels ``c`` of an image.
        of: Whose mean and deviation they are, in words.

    Attributes:
        mean: Float64 ``[features]``.
        std: Float64 ``[features]``; 1 for a feature that is constant.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, features: int, *, of: str = "the training split") -> None:
        super().__init__()
        self.features, self.of = features, of
        self.register_buffer("mean", torch.zeros(features, dtype=torch.float64))
        self.register_buffer("std", torch.ones(features, dtype=torch.float64))

    @torch.no_grad()
    def learn(self, batches: Iterable[Tensor]) -> Self:
        """Learn mean and standard deviation in one pass over the raw training inputs.

        Args:
            batches: Inputs ``[b, features, ...]`` of any type; finite.

        Raises:
            InputError: When there is no sample, or a value is not finite.
        """
        count = 0
        mean, squares = torch.zeros_like(self.mean), torch.zeros_like(self.std)
        least, most = torch.full_like(mean, math.inf), torch.full_like(mean, -math.inf)
        for batch in batches:
            values = batch.to(mean.device, torch.float64).transpose(0, 1).flatten(1)
            if values.shape[1] == 0:
                continue
            size, center = values.shape[1], values.mean(1)
            shift = center - mean
            squares += (values - center[:, None]).square().sum(1) + shift.square() * (count * size / (count + size))
            mean += shift * (size / (count + size))
            count += size
            least, most = torch.minimum(least, values.amin(1)), torch.maximum(most, values.amax(1))
        if count == 0 or not torch.isfinite(squares).all():
            came = "a value is NaN or infinite" if count else "no sample came"
            raise InputError(f"The inputs cannot be standardised, because {came}; correct the training inputs.")
        self.mean.copy_(mean)
        # Constant is decided exactly: rounding leaves a tiny variance, and dividing by it would blow up noise.
        self.std.copy_(torch.where(least == most, 1.0, (squares / count).sqrt()))
        return self

    def forward(self, inputs: Shaped[Tensor, "b d *rest"]) -> Float[Tensor, "b d *rest"]:
        """Standardise raw inputs of any type; the result is float32."""
        values = inputs if inputs.dtype == torch.float64 else inputs.float()
        shape = (-1,) + (1,) * (inputs.ndim - 2)
        mean, std = self.mean.to(values.dtype).reshape(shape), self.std.to(values.dtype).reshape(shape)
        return ((values - mean) / std).float()

    def options(self) -> dict[str, Any]:
        """The constructor's arguments as plain values."""
        return {"features": self.features, "of": self.of}

    def describe(self) -> list[str]:
        """What is done to an input, in sentences."""
        return [f"Each of {self.features} features is standardised by the mean and deviation of {self.of}."]


@register(
    "preparation",
    "table",
    tiny={
        "columns": [
            {"name": "height", "kind": "number"},
            {"name": "alive", "kind": "boolean"},
            {"name": "color", "kind": "category", "categories": ["green", "red"]},
            {"name": "born", "kind": "date"},
        ],
        "indicators": [0],
    },
    sample=(4, 4),
)
class TableEncoder(nn.Module):
    """Turns raw rows of a table into float32 features.

    In this order: numbers, booleans and dates (numbers and dates standardised); one feature for each category, all
    zero for an unseen one; sine and cosine of the time of year and of the week for each date, and of the time of day
    where the training rows have one; and an indicator for each column with values missing in the training rows.
    Missing numbers and dates become the training median, missing booleans and categories the most frequent value.

    Args:
        columns: Name, kind and categories of each column: ``chainrule.data.Column``, or the same as dictionaries.
        indicators: Positions of the columns that get an indicator.
        times: Positions of the date columns that have a time of day.

    Attributes:
        fill: Float64 ``[columns]``, what replaces a missing value.
        scale: The learned :class:`Standardize` of numbers and dates.
        width: Number of features.
    """

    fill: Tensor
    scaled_from: Tensor
    boolean_from: Tensor
    hot_from: Tensor
    hot_code: Tensor
    periodic_from: Tensor
    period: Tensor
    indicator_from: Tensor

    def __init__(
        self,
        columns: Sequence[Any],
        *,
        indicators: Sequence[int] = (),
        times: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.columns = [_fields(column) for column in columns]
        self.indicators, self.times = tuple(indicators), tuple(times)
        dates = self._positions("date")
        periods = [(date, _DAYS_OF_YEAR) for date in dates]
        periods += [(date, _DAYS_OF_WEEK) for date in dates] + [(date, 1.0) for date in self.times]
        hot = [
            (position, float(code))
            for position in self._positions("category")
            for code in range(len(self.columns[position]["categories"]))
        ]
        scaled = self._positions("number", "date")
        self.scale = Standardize(len(scaled))
        self.register_buffer("fill", torch.zeros(len(self.columns), dtype=torch.float64))
        # The layout follows from the options, so it moves with the module but is not saved.
        self._layout("scaled_from", scaled)
        self._layout("boolean_from", self._positions("boolean"))
        self._layout("hot_from", [position for position, _ in hot])
        self._layout("hot_code", [code for _, code in hot], torch.float64)
        self._layout("periodic_from", [position for position, _ in periods])
        self._layout("period", [period for _, period in periods], torch.float64)
        self._layout("indicator_from", self.indicators)
        booleans = len(self._positions("boolean"))
        self.width = len(scaled) + booleans + len(hot) + 2 * len(periods) + len(self.indicators)

    @classmethod
    @torch.no_grad()
    def learn(cls, columns: Sequence[Any], raw: Float[Tensor, "n d"]) -> Self:
        """Learn from the raw training rows, and from them only.

        Args:
            columns: The columns of the rows, as the constructor takes them.
            raw: Float64 ``[n, columns]``, as ``chainrule.data.spec`` says.
        """
        raw = raw.double()
        missing = torch.isnan(raw)
        timed = ((raw != raw.floor()) & ~missing).any(0).tolist()
        dates = [position for position, column in enumerate(columns) if _fields(column)["kind"] == "date"]
        module = cls(
            columns,
            indicators=torch.nonzero(missing.any(0)).flatten().tolist(),
            times=[position for position in dates if timed[position]],
        ).to(raw.device)
        module.fill.copy_(_medians(raw))
        for position in module._positions("boolean", "category"):
            seen = raw[:, position]
            seen = seen[seen >= 0].long()
            module.fill[position] = float(torch.bincount(seen).argmax()) if len(seen) else _UNSEEN
        if module.scale.features:
            filled = torch.where(missing, module.fill, raw)
            module.scale.learn([filled[:, module.scaled_from]])
        return module

    def forward(self, raw: Float[Tensor, "b columns"]) -> Float[Tensor, "b width"]:
        """Encode raw rows."""
        raw = raw.double()
        missing = torch.isnan(raw)
        filled = torch.where(missing, self.fill, raw)
        angle = filled[:, self.periodic_from] * (2 * math.pi / self.period)
        parts = [
            self.scale(filled[:, self.scaled_from]),
            filled[:, self.boolean_from],
            filled[:, self.hot_from] == self.hot_code,
            angle.sin(),
            angle.cos(),
            missing[:, self.indicator_from],
        ]
        return torch.cat([part.float() for part in parts], dim=1)

    def options(self) -> dict[str, Any]:
        """The constructor's arguments as plain values."""
        return {"columns": self.columns, "indicators": list(self.indicators), "times": list(self.times)}

    def describe(self) -> list[str]:
        """What is done to a row, in sentences."""
        names = {kind: self._named(self._positions(kind)) for kind in ("number", "boolean", "category", "date")}
        sentences = {
            "number": "Numbers are standardised by the mean and deviation of the training split",
            "boolean": "Booleans become 0 and 1",
            "category": "Categories become one feature a value, all zero for a value that training did not show",
            "date": "Dates become standardised days, and sine and cosine of the time of year and week",
        }
        lines = [f"{sentences[kind]}: {listing(names[kind])}." for kind in sentences if names[kind]]
        if self.times:
            lines.append(f"The time of day is kept, as sine and cosine: {listing(self._named(self.times))}.")
        if self.indicators:
            lines.append(
                "Missing values become the training median or the most frequent value, and an indicator says so: "
                f"{listing(self._named(self.indicators))}."
            )
        return lines

    def _positions(self, *kinds: str) -> list[int]:
        return [position for position, column in enumerate(self.columns) if column["kind"] in kinds]

    def _named(self, positions: Sequence[int]) -> list[str]:
        return [self.columns[position]["name"] for position in positions]

    def _layout(self, name: str, values: Sequence[float], dtype: torch.dtype = torch.int64) -> None:
        self.register_buffer(name, torch.tensor(values, dtype=dtype), persistent=False)


def _fields(column: Any) -> dict[str, Any]:
    fields = asdict(column) if is_dataclass(column) and not isinstance(column, type) else column
    return {"name": fields["name"], "kind": fields["kind"], "categories": list(fields.get("categories", ()))}


def _medians(raw: Float[Tensor, "n d"]) -> Float[Tensor, " d"]:
    """Median of each column without its missing values, 0 where there is none."""
    ordered = raw.sort(dim=0).values  # NaN comes last
    count = (~torch.isnan(raw)).sum(0)
    lower, upper = ((count - 1).clamp(min=0) // 2)[None], (count // 2).clamp(max=len(raw) - 1)[None]
    return ((ordered.gather(0, lower) + ordered.gather(0, upper)) / 2)[0].nan_to_num()
