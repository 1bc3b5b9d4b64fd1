"""t-SNE: a picture in which samples that are near each other stay near (van der Maaten & Hinton 2008).

Gradient descent with momentum and a gain for each coordinate (Jacobs 1988) makes ``KL(P || Q)`` small, where P are the
samples' affinities and Q those of the picture; both stand in :mod:`chainrule.estimators.affinities`.

Differs from the paper: the schedule is scikit-learn's. The pull is multiplied by 12 for 250 steps with momentum 0.5,
then comes momentum 0.8; the rate is ``n / 48``, at least 50 (Belkina et al. 2019); the start is the picture by PCA.
Differs from scikit-learn: all pairs are the default, and so is a perplexity of ``(n - 1) / 3`` below 91 samples.
"""

import importlib
import math
from typing import Any, NamedTuple

import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.utils import check_random_state

from chainrule.errors import InputError, UnknownNameError
from chainrule.estimators import arrays
from chainrule.estimators.affinities import affinities, block_rows, divergence, forces
from chainrule.estimators.base import AbstractEmbedding
from chainrule.estimators.directions import named_solver
from chainrule.registry import register
from chainrule.shapes import Float, Tensor

#: Steps with exaggeration; steps between looks at convergence; steps without progress that end the descent.
EXPLORATION, LOOK, PATIENCE = 250, 50, 300


class Picture(NamedTuple):
    """What was found.

    Attributes:
        places: A place for each sample.
        divergence: ``KL(P || Q)``.
        steps: How many were done.
    """

    places: Float[Tensor, "n m"]
    divergence: float
    steps: int


@register(
    "embedding",
    "tsne",
    family="embeddings",
    paper="van der Maaten & Hinton 2008, Visualizing data using t-SNE",
    year=2008,
    tiny={"max_iter": 300},
    peer="sklearn.manifold.TSNE",
    exceptions={"bounds_its_memory": "The exact method holds the affinities of all pairs, n x n."},
)
class TSNE(ClassNamePrefixFeaturesOutMixin, AbstractEmbedding):
    """Draws samples so that those near each other stay near.

    Args:
        n_components: Axes of the picture.
        perplexity: Wanted number of neighbours of a sample; None for 30, or ``(n - 1) / 3`` if that is less.
        early_exaggeration: What the affinities are multiplied by in the first 250 steps.
        learning_rate: Length of a step; ``"auto"`` for ``n / (4 early_exaggeration)``, at least 50.
        max_iter: Steps at most.
        init: ``"pca"``, ``"random"``, or the places ``[n, m]`` to begin from.
        random_state: Seed of a random start.
        min_grad_norm: Gradient at which to stop.
        method: ``"exact"`` for all pairs, on the samples' device; ``"fft"`` for many samples, by openTSNE on the CPU.
        memory: Bound on temporary memory beside the affinities, MiB.

    Attributes:
        embedding_: The places ``[n, m]``.
        kl_divergence_: ``KL(P || Q)`` at the end.
        n_iter_: Steps that were done.
        perplexity_: The perplexity that was used.
        learning_rate_: The rate that was used.
        n_features_in_: Features of a sample.
    """

    def __init__(
        self,
        *,
        n_components: int = 2,
        perplexity: float | None = None,
        early_exaggeration: float = 12.0,
        learning_rate: float | str = "auto",
        max_iter: int = 1000,
        init: Any = "pca",
        random_state: Any = None,
        min_grad_norm: float = 1e-7,
        method: str = "exact",
        memory: float = 256,
    ) -> None:
        self.n_components = n_components
        self.perplexity = perplexity
        self.early_exaggeration = early_exaggeration
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.init = init
        self.random_state = random_state
        self.min_grad_norm = min_grad_norm
        self.method = method
        self.memory = memory

    @property
    def _n_features_out(self) -> int:
        return self.embedding_.shape[1]

    def _embedded(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        self._check(len(X))
        self.perplexity_ = max(1.0, min(30.0, (len(X) - 1) / 3)) if self.perplexity is None else float(self.perplexity)
        auto = max(len(X) / self.early_exaggeration / 4, 50.0)
        self.learning_rate_ = auto if self.learning_rate == "auto" else float(self.learning_rate)
        start = _start(self.init, X, self.n_components, self.random_state)
        found = self._by_fft(X, start) if self.method == "fft" else self._exact(X, start)
        self.kl_divergence_, self.n_iter_ = found.divergence, found.steps
        return found.places

    def _check(self, count: int) -> None:
        if self.method not in ("exact", "fft"):
            raise UnknownNameError("method of t-SNE", self.method, ["exact", "fft"])
        if self.perplexity is not None and not 1 <= self.perplexity < count:
            raise InputError(
                f"perplexity must be at least 1 and less than n_samples; received {self.perplexity} of {count} samples."
            )
        if self.n_components < 1 or self.max_iter < 1:
            raise InputError(
                f"t-SNE wants n_components and max_iter from 1 up; received {self.n_components} and {self.max_iter}."
            )
        numbers: dict[str, Any] = {"early_exaggeration": self.early_exaggeration}
        if self.learning_rate != "auto":
            numbers["learning_rate"] = self.learning_rate
        for name, value in numbers.items():
            if not (isinstance(value, int | float) and 0 < value < math.inf):
                raise InputError(f"t-SNE wants {name} above 0; received {value!r}.")

    def _exact(self, X: Float[Tensor, "n d"], start: Float[Tensor, "n m"]) -> Picture:
        joint = affinities(X, self.perplexity_, memory=self.memory).joint
        early = min(EXPLORATION, self.max_iter)
        options = (self.learning_rate_, self.min_grad_norm)
        places, steps = descended(joint, start, early, 0.5, self.early_exaggeration, *options)
        if self.max_iter > early:
            places, more = descended(joint, places, self.max_iter - early, 0.8, 1.0, *options)
            steps += more
        return Picture(places, float(divergence(joint, places)), steps)

    def _by_fft(self, X: Float[Tensor, "n d"], start: Float[Tensor, "n m"]) -> Picture:
        try:
            library = importlib.import_module("openTSNE")
        except ImportError as error:
            raise InputError(
                'method="fft" needs openTSNE, which is not installed; write pip install "chainrule[tsne]", '
                'or method="exact".'
            ) from error
        if self.n_components > 2:
            raise InputError(f'method="fft" draws 1 or 2 axes; received n_components={self.n_components}.')
        early = min(EXPLORATION, self.max_iter)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        picture = library.TSNE(
            n_components=self.n_components,
            perplexity=self.perplexity_,
            early_exaggeration=self.early_exaggeration,
            early_exaggeration_iter=early,
            n_iter=self.max_iter - early,
            learning_rate=self.learning_rate_,
            initialization=start.double().cpu().numpy(),
            negative_gradient_method="fft",
            random_state=seed,
        ).fit(X.double().cpu().numpy())
        return Picture(arrays.tensor(picture).to(X), float(picture.kl_divergence), self.max_iter)


def descended(
    joint: Float[Tensor, "n n"],
    places: Float[Tensor, "n m"],
    steps: int,
    momentum: float,
    exaggeration: float,
    learning_rate: float,
    min_grad_norm: float,
) -> tuple[Float[Tensor, "n m"], int]:
    """Where descent leads, and how many steps it took.

    Args:
        joint: ``p_ij``, symmetric.
        places: Where it begins.
        steps: How many at most.
        momentum: Share of a step that goes into the next.
        exaggeration: What the pull is multiplied by.
        learning_rate: Length of a step.
        min_grad_norm: Gradient at which to stop.

    Raises:
        InputError: When the places become infinite.
    """
    places, rows = places.clone(), block_rows(places)
    update, gains = torch.zeros_like(places), torch.ones_like(places)
    least, progress = math.inf, 0
    for step in range(1, steps + 1):
        pull, push, normaliser = forces(joint, places, rows)
        slope = pull.mul_(exaggeration).sub_(push.div_(normaliser)).mul_(4)
        gains = torch.where(update * slope < 0, gains + 0.2, gains * 0.8).clamp_min_(0.01)
        slope.mul_(gains)
        update.mul_(momentum).sub_(slope, alpha=learning_rate)
        places.add_(update)
        if step % LOOK:
            continue
        size, now = float(slope.norm()), float(divergence(joint, places))
        if not math.isfinite(size + now):
            raise InputError(f"t-SNE ran away with learning_rate={learning_rate:g}; write a smaller one.")
        if now < least:
            least, progress = now, step
        if size <= min_grad_norm or step - progress > PATIENCE:
            return places, step
    return places, steps


def _start(init: Any, X: Float[Tensor, "n d"], axes: int, random_state: Any) -> Float[Tensor, "n m"]:
    """The places to begin from; what is computed has deviation 1e-4 along the first axis."""
    if not isinstance(init, str):
        places = arrays.targets(init, X)
        if places.shape != (len(X), axes):
            raise InputError(f"init has to be [{len(X)}, {axes}]; received {list(places.shape)}.")
        return places
    if init not in ("pca", "random"):
        raise UnknownNameError("start of t-SNE", init, ["pca", "random"])
    draw = check_random_state(random_state).standard_normal((len(X), axes))
    places = arrays.tensor(draw).to(X)
    if init == "pca":
        centre = X.mean(dim=0)
        _, directions = named_solver("auto")(X, centre, min(axes, *X.shape), random_state)
        found = (X - centre) @ directions[:axes].T
        spread = found[:, 0].std(correction=0)
        if bool(spread > 0):
            # Axes that the samples do not have stay random.
            places[:, : found.shape[1]] = found / spread
    return places * 1e-4
