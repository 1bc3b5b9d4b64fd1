"""The posterior of softmax regression as a function to be minimized: value, gradient and Hessian products.

``-(1/m) sum_i v_i log p(y_i | x_i) + (l2/2) ||W||^2`` with ``p(y = k | x) ~ exp(w_k x + b_k)`` and ``m`` the sum of
the weights; of two classes only the second has weights, ``p(y = 1 | x) = 1 / (1 + exp(-(w x + b)))``. Its gradient is
``(1/m) sum_i v_i (p_i - e_{y_i}) x_i^T + l2 W``. One pass over the rows, block by block, gives both: a block is still
near the processor when it is multiplied the second time. All sums go over the rows of all processes.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, Self

import torch
from torch.nn import functional as F

from chainrule.estimators import moments
from chainrule.estimators.memory import blocks
from chainrule.estimators.minimize import Point
from chainrule.estimators.shards import total
from chainrule.shapes import Float, Int, Tensor

#: A block of rows that stays near the processor, MiB.
BLOCK = 6

#: Features up to which the curvature is evened out by a full matrix.
MOST_FEATURES = 4096

#: Rows that the curvature is taken from.
ROWS = 4000


class Coordinates(NamedTuple):
    """``W = U A``, ``b = u s - W c``: coordinates in which the curvature is even; the function itself stays as it is.

    Attributes:
        A: A lower triangular matrix ``[d, d]``, or the diagonal of one ``[d]``.
        centre: ``c``, the mean of the samples.
        scale: ``s``.
    """

    A: Float[Tensor, "d ..."]
    centre: Float[Tensor, " d"]
    scale: float

    def weights(self, U: Float[Tensor, "k p"]) -> Float[Tensor, "k p"]:
        """``[W | b]`` from coordinates; without intercept both lack the last column."""
        d = len(self.centre)
        W = U[:, :d] * self.A if self.A.ndim == 1 else U[:, :d] @ self.A
        return torch.cat((W, U[:, d:] * self.scale - (W @ self.centre)[:, None]), dim=1) if U.shape[1] > d else W

    def place(self, theta: Float[Tensor, "k p"]) -> Float[Tensor, "k p"]:
        """Coordinates from ``[W | b]``."""
        d = len(self.centre)
        W = theta[:, :d]
        U = W / self.A if self.A.ndim == 1 else torch.linalg.solve_triangular(self.A, W, upper=False, left=False)
        return (
            torch.cat((U, (theta[:, d:] + (W @ self.centre)[:, None]) / self.scale), dim=1) if theta.shape[1] > d else U
        )

    def gradient(self, G: Float[Tensor, "k p"]) -> Float[Tensor, "k p"]:
        """The gradient in the coordinates, from that in ``[W | b]``."""
        d = len(self.centre)
        by_b = G[:, d:]
        by_W = G[:, :d] - by_b * self.centre if by_b.shape[1] else G[:, :d]
        by_U = by_W * self.A if self.A.ndim == 1 else by_W @ self.A.T
        return torch.cat((by_U, by_b * self.scale), dim=1)


class Posterior:
    """The function, in some coordinates.

    Args:
        X: Samples.
        codes: Index of each sample's class.
        weight: Weight of each sample.
        classes: How many classes there are.
        intercept: Whether there is one.
        l2: Strength of the Gaussian prior.
        l1: Strength of the Laplace prior, which is no part of the value.
    """

    def __init__(
        self,
        X: Float[Tensor, "n d"],
        codes: Int[Tensor, " n"],
        weight: Float[Tensor, " n"] | None,
        *,
        classes: int,
        intercept: bool,
        l2: float = 0.0,
        l1: float = 0.0,
    ) -> None:
        self.X, self.codes, self.weight = X, codes, weight
        self.rows = 1 if classes == 2 else classes
        self.intercept, self.l2, self.l1 = intercept, l2, l1
        self.mass = moments.mass(X, weight)
        d = X.shape[1]
        self.coordinates = Coordinates(X.new_ones(d), X.new_zeros(d), 1.0)
        self.origin = X.new_zeros(d)
        self.penalty: Tensor | None = None

    def evened(self, *, full: bool, theta: Float[Tensor, "k p"] | None = None) -> Self:
        """Take coordinates in which the curvature is near the identity.

        Args:
            full: Whether by a full matrix, else by a diagonal.
            theta: ``[W | b]`` where the curvature is taken; zero if None.
        """
        d = self.X.shape[1]
        stride = -(-moments.rows(self.X) // max(ROWS, 4 * d))
        part, weight = self.X[::stride], None if self.weight is None else self.weight[::stride]
        if not moments.mass(part, weight) > 0:
            part, weight = self.X, self.weight
        mass, bend = moments.mass(part, weight), self._bend(part, theta)
        weight = bend if weight is None else bend * weight
        nothing, share = part[:, :0], moments.mass(part, weight) / mass
        centre = moments.mean(part, weight) if self.intercept else torch.zeros_like(part[0])
        if full and d <= MOST_FEATURES:
            H = moments.gram(part, nothing, weight, centre) / mass
            H.diagonal().copy_(_spread(H.diagonal(), centre) + self.l2)
            scale = H.diagonal().sqrt()
            H /= torch.outer(scale, scale)
            # Features that depend on each other leave directions without curvature.
            H.diagonal().add_(1e-8)
            H = _shrunk(H, moments.rows(part)) if stride > 1 else H
            A = torch.linalg.solve_triangular(torch.linalg.cholesky(H), torch.diag(1 / scale), upper=False)
        else:
            squares = torch.zeros_like(centre)
            for block in moments.centred(part, nothing, weight, centre):
                squares += block.square().sum(dim=0)
            A = (_spread(total(squares) / mass, centre) + self.l2).rsqrt()
        self.coordinates = Coordinates(A, centre, float(share) ** -0.5)
        if self.l1:
            self.penalty = torch.cat((self.l1 * A, A.new_zeros(int(self.intercept))))
        return self

    def _bend(self, part: Tensor, theta: Tensor | None) -> Tensor:
        """The curvature of each row's loss by its scores: ``p (1 - p)``, on average over the classes."""
        W, b = self._split(self.start if theta is None else theta)
        P = _probabilities(self._scores(W, b, part))
        # Of k classes at zero weights, diag(p) - p p^T has the eigenvalue 1/k on all but one direction.
        share = 1.0 if self.rows == 1 else self.rows / (self.rows - 1)
        return share * (P * (1 - P)).mean(dim=0).clamp_min(1e-6)

    def single(self) -> "Posterior":
        """The same function of a copy of the samples in single precision, centred."""
        copy, origin = torch.empty_like(self.X, dtype=torch.float32), self.coordinates.centre
        for part, x in self._blocks():
            torch.sub(x, origin, out=copy[part])
        weight = None if self.weight is None else self.weight.float()
        classes = max(2, self.rows)
        rough = Posterior(copy, self.codes, weight, classes=classes, intercept=self.intercept, l2=self.l2, l1=self.l1)
        rough.origin = origin
        return rough

    def follow(self, other: "Posterior") -> None:
        """Take coordinates that mean the same as those of another."""
        A, centre, scale = other.coordinates
        kind = self.X.dtype
        self.coordinates = Coordinates(A.to(kind), (centre - self.origin).to(kind), scale)

    @property
    def start(self) -> Float[Tensor, "k p"]:
        """Zero weights."""
        return self.X.new_zeros(self.rows, self.X.shape[1] + self.intercept)

    def at(self, place: Float[Tensor, "k p"]) -> Point:
        """Value and gradient."""
        theta = self.coordinates.weights(place)
        W, b = self._split(theta)
        d = W.shape[1]
        sums = theta.new_zeros(theta.numel() + 1)
        G, loss = sums[:-1].view_as(theta), sums[-1]
        for part, x in self._blocks():
            R, each = _residuals(self._scores(W, b, x), self.codes[part])
            if self.weight is not None:
                R *= self.weight[part]
                each *= self.weight[part]
            loss += each.sum()
            G[:, :d] += R @ x
            if self.intercept:
                G[:, d] += R.sum(dim=1)
        sums = total(sums) / self.mass
        G = sums[:-1].view_as(theta)
        G[:, :d] += self.l2 * W
        value = sums[-1] + self.l2 / 2 * W.square().sum()
        return Point(value, self.coordinates.gradient(G), self._size(G, W))

    def curvature(self, place: Float[Tensor, "k p"]) -> Callable[[Tensor], Tensor]:
        """The function that multiplies a direction by the Hessian; it keeps the probabilities of all rows."""
        W, b = self._split(self.coordinates.weights(place))
        kept = [_probabilities(self._scores(W, b, x)) for _, x in self._blocks()]

        def product(direction: Float[Tensor, "k p"]) -> Float[Tensor, "k p"]:
            theta = self.coordinates.weights(direction)
            V, c = self._split(theta)
            d, out = V.shape[1], torch.zeros_like(theta)
            for (part, x), P in zip(self._blocks(), kept, strict=True):
                Q = self._scores(V, c, x)
                S = P * (1 - P) * Q if len(P) == 1 else P * (Q - (P * Q).sum(dim=0))
                if self.weight is not None:
                    S *= self.weight[part]
                out[:, :d] += S @ x
                if self.intercept:
                    out[:, d] += S.sum(dim=1)
            out = total(out) / self.mass
            out[:, :d] += self.l2 * V
            return self.coordinates.gradient(out)

        return product

    def least(self, place: Float[Tensor, "k p"]) -> Float[Tensor, "k p"]:
        """The same probabilities with the least L1 norm: from the weights of a feature their median is subtracted."""
        if self.rows == 1:
            return place
        ordered = place.sort(dim=0).values
        low, high = ordered[(self.rows - 1) // 2], ordered[self.rows // 2]
        return place - torch.zeros_like(low).clamp(low, high)

    def _split(self, theta: Tensor) -> tuple[Tensor, Tensor | None]:
        return (theta[:, :-1].contiguous(), theta[:, -1:]) if self.intercept else (theta, None)

    def _blocks(self) -> Iterator[tuple[slice, Tensor]]:
        for part in blocks(len(self.X), (self.X.shape[1] + 4 * self.rows) * self.X.element_size(), BLOCK):
            yield part, self.X[part]

    def _scores(self, W: Tensor, b: Tensor | None, x: Tensor) -> Tensor:
        return W @ x.T if b is None else torch.addmm(b, W, x.T)

    def _size(self, G: Tensor, W: Tensor) -> float:
        if not self.l1:
            return float(G.abs().max())
        d = W.shape[1]
        held = (G[:, :d].abs() - self.l1).clamp_min(0)
        least = torch.where(W == 0, held, (G[:, :d] + self.l1 * W.sign()).abs())
        return float(torch.cat((least, G[:, d:].abs()), dim=1).max())


def _spread(squares: Float[Tensor, " d"], centre: Float[Tensor, " d"]) -> Float[Tensor, " d"]:
    """The curvatures of the features; of constant ones, where they are rounding, so much that nothing moves them."""
    eps = torch.finfo(squares.dtype).eps
    return torch.where(squares > (8 * eps * centre).square(), squares, (1 + centre.square()) / eps)


def _shrunk(R: Float[Tensor, "d d"], n: int) -> Float[Tensor, "d d"]:
    """A correlation matrix of few samples, shrunk towards the identity by its share of noise (Chen et al. 2010)."""
    d, squares = len(R), float(R.square().sum())
    share = ((1 - 2 / d) * squares + d * d) / ((n + 1 - 2 / d) * max(squares - d, 1e-12))
    share = min(share, 1.0)
    return (1 - share) * R + share * torch.eye(d, dtype=R.dtype, device=R.device)


def _residuals(scores: Float[Tensor, "k n"], codes: Int[Tensor, " n"]) -> tuple[Tensor, Tensor]:
    """Probabilities minus what is true ``[k, n]``, in place of the scores, and the loss of each sample ``[n]``."""
    if len(scores) == 1:
        truth = codes.to(scores.dtype)
        return scores.sigmoid() - truth, -F.logsigmoid((2 * truth - 1) * scores[0])
    scores -= scores.amax(dim=0)
    own = scores.gather(0, codes[None])[0]
    P = scores.exp_()
    whole = P.sum(dim=0)
    P /= whole
    return P.scatter_add_(0, codes[None], -torch.ones_like(P[:1])), whole.log_() - own


def _probabilities(scores: Float[Tensor, "k n"]) -> Float[Tensor, "k n"]:
    return scores.sigmoid() if len(scores) == 1 else scores.softmax(dim=0)
