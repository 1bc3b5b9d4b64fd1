"""Minimizers of smooth convex functions, and of such with an L1 penalty, on tensors of any device.

L-BFGS (Liu and Nocedal 1989), Newton's method with conjugate gradients (Dembo, Eisenstat and Steihaug 1982), steepest
descent, and for the penalty a proximal gradient step that alternates with a Newton step among the weights that are not
zero. A function brings the coordinates that make its curvature even; whether it is at its minimum is judged by the
gradient in the weights themselves.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch

from chainrule.shapes import Bool, Float, Tensor

#: Pairs that L-BFGS remembers.
MEMORY = 10

#: Evaluations along one direction.
TRIALS = 30

#: Of these, such whose gain is lost in rounding.
LOST = 5

#: Newton's steps until it is clear whether there is a minimum.
RECEDING = 12


class Point(NamedTuple):
    """A function at a place.

    Attributes:
        value: Its value.
        gradient: In the coordinates that the minimizer moves in.
        size: Greatest entry of the gradient in the weights themselves; of the least subgradient under an L1 penalty.
    """

    value: Float[Tensor, ""]
    gradient: Float[Tensor, "k p"]
    size: float


#: Steps of L-BFGS, each with the change of the gradient that it brought.
History = tuple[tuple[Tensor, Tensor], ...]


class Result(NamedTuple):
    """Where a minimizer ended.

    Attributes:
        place: The coordinates.
        point: The function there.
        iterations: How many it took, at least 1.
        history: What L-BFGS remembers.
    """

    place: Float[Tensor, "k p"]
    point: Point
    iterations: int
    history: History = ()


class Objective(Protocol):
    """A convex function of a matrix of coordinates."""

    #: L1 penalty of each coordinate, or None; it is no part of the value.
    penalty: Tensor | None

    def at(self, place: Float[Tensor, "k p"]) -> Point:
        """Value and gradient."""

    def curvature(self, place: Float[Tensor, "k p"]) -> Callable[[Tensor], Tensor]:
        """The function that multiplies a direction by the Hessian."""

    def least(self, place: Float[Tensor, "k p"]) -> Float[Tensor, "k p"]:
        """Of the places with the same value and gradient, that with the least penalty."""


def dot(a: Tensor, b: Tensor) -> float:
    """The sum of the products of all entries."""
    return float(torch.dot(a.flatten(), b.flatten()))


def noise(value: Tensor) -> float:
    """Differences of a value up to here are rounding."""
    return 8 * torch.finfo(value.dtype).eps * max(abs(float(value)), 1e-3)


def search(
    objective: Objective, place: Tensor, point: Point, direction: Tensor, step: float = 1.0
) -> tuple[Tensor, Point] | None:
    """A step along a direction that decreases the value and flattens the slope (the weak conditions of Wolfe 1969)."""
    slope, low, high, lost = dot(point.gradient, direction), 0.0, float("inf"), 0
    for _ in range(TRIALS):
        new = place + step * direction
        there = objective.at(new)
        gain, after = float(there.value - point.value), dot(there.gradient, direction)
        # Where the gain is lost in rounding, the slope tells whether the step went too far.
        level = gain <= noise(point.value) and after <= -0.8 * slope
        if not (gain <= 1e-4 * step * slope or level):
            high, lost = step, lost + (gain <= noise(point.value))
            if lost == LOST:
                return None
            # The parabola through what is known, if it lies well within.
            vertex = -slope * step * step / (2 * (gain - slope * step)) if gain < float("inf") else 0.0
            step = min(max(vertex, low + 0.1 * (high - low)), low + 0.5 * (high - low))
        elif after < 0.9 * slope:
            low = step
            step = 2 * step if high == float("inf") else (low + high) / 2
        else:
            return new, there
    return None


def lbfgs(
    objective: Objective, place: Float[Tensor, "k p"], *, tol: float, max_iter: int, history: History = ()
) -> Result:
    """L-BFGS.

    Args:
        objective: What is minimized.
        place: The start.
        tol: Size of the gradient at which it ends.
        max_iter: Most iterations.
        history: What an earlier search remembers.
    """
    point = objective.at(place)
    for iteration in range(1, max_iter + 1):
        if point.size <= tol:
            return Result(place, point, max(1, iteration - 1), history)
        found = search(objective, place, point, -_two_loops(point.gradient, history))
        if found is None:
            if not history:
                return Result(place, point, iteration)
            history = ()
            continue
        step, change = found[0] - place, found[1].gradient - point.gradient
        place, point = found
        if dot(step, change) > torch.finfo(step.dtype).eps * dot(change, change):
            history = (*history[-MEMORY + 1 :], (step, change))
    return Result(place, point, max_iter, history)


def _two_loops(gradient: Tensor, history: History) -> Tensor:
    q, shares = gradient, []
    for s, y in reversed(history):
        shares.append(dot(s, q) / dot(s, y))
        q = q - shares[-1] * y
    for s, y in history[-1:]:
        q = q * (dot(s, y) / dot(y, y))
    for (s, y), share in zip(history, reversed(shares), strict=True):
        q = q + (share - dot(y, q) / dot(s, y)) * s
    return q


def conjugate_gradients(
    product: Callable[[Tensor], Tensor], right: Float[Tensor, "k p"], *, share: float, most: int
) -> Float[Tensor, "k p"]:
    """``H x = right`` for a positive semidefinite ``H``, until the residual has fallen to a share of the right side."""
    x, rest, towards = torch.zeros_like(right), right, right
    norm = first = dot(rest, rest)
    for _ in range(most):
        image = product(towards)
        bend = dot(towards, image)
        if not bend > torch.finfo(right.dtype).eps ** 2 * dot(towards, towards):
            return x if bool(x.any()) else right
        x = x + (norm / bend) * towards
        rest = rest - (norm / bend) * image
        new = dot(rest, rest)
        if new <= share * share * first:
            break
        towards, norm = rest + (new / norm) * towards, new
    return x


def newton_cg(objective: Objective, place: Float[Tensor, "k p"], *, tol: float, max_iter: int) -> Result:
    """Newton's method; its system is solved by conjugate gradients, the better the nearer the minimum is.

    Args:
        objective: What is minimized.
        place: The start.
        tol: Size of the gradient at which it ends.
        max_iter: Most iterations.
    """
    point = objective.at(place)
    for iteration in range(1, max_iter + 1):
        if point.size <= tol:
            return Result(place, point, max(1, iteration - 1))
        direction = newton_step(objective, place, point)
        found = search(objective, place, point, direction)
        if found is None:
            return Result(place, point, iteration)
        place, point = found
    return Result(place, point, max_iter)


def newton_step(objective: Objective, place: Float[Tensor, "k p"], point: Point) -> Float[Tensor, "k p"]:
    """Newton's step, nearly."""
    share = min(0.1, dot(point.gradient, point.gradient) ** 0.25)
    return conjugate_gradients(objective.curvature(place), -point.gradient, share=share, most=200)


def steepest(objective: Objective, place: Float[Tensor, "k p"], *, tol: float, max_iter: int) -> Result:
    """Steepest descent; each step starts from twice the last one that was good.

    Args:
        objective: What is minimized.
        place: The start.
        tol: Size of the gradient at which it ends.
        max_iter: Most iterations.
    """
    point, step = objective.at(place), 1.0
    for iteration in range(1, max_iter + 1):
        if point.size <= tol:
            return Result(place, point, max(1, iteration - 1))
        found = search(objective, place, point, -point.gradient, step)
        if found is None:
            return Result(place, point, iteration)
        moved = dot(found[0] - place, found[0] - place) / dot(point.gradient, point.gradient)
        place, point, step = *found, 2 * moved**0.5
    return Result(place, point, max_iter)


def proximal_newton(objective: Objective, place: Float[Tensor, "k p"], *, tol: float, max_iter: int) -> Result:
    """Minimum of value and L1 penalty.

    A proximal gradient step frees the weights that the penalty no longer holds at zero. Then a Newton step moves those
    that are not zero, with their signs; whoever would change sign stops at zero.

    Args:
        objective: What is minimized.
        place: The start.
        tol: Size of the least subgradient at which it ends.
        max_iter: Most iterations.
    """
    point, step, penalty = objective.at(place), 1.0, objective.penalty
    assert penalty is not None
    for iteration in range(1, max_iter + 1):
        if point.size <= tol:
            return Result(place, point, max(1, iteration - 1))
        for _ in range(TRIALS):
            moved = place - step * point.gradient
            new = moved.sign() * (moved.abs() - step * penalty).clamp_min(0)
            new, change = objective.least(new), new - place
            there = objective.at(new)
            bound = dot(point.gradient, change) + dot(change, change) / (2 * step)
            if float(there.value - point.value) <= bound + noise(point.value):
                break
            step /= 2
        step *= 1.5
        place, point = _face(objective, new, there, penalty)
    return Result(place, point, max_iter)


def _face(objective: Objective, place: Tensor, point: Point, penalty: Tensor) -> tuple[Tensor, Point]:
    """A Newton step among the weights that are not zero or not penalised."""
    free: Bool[Tensor, "k p"] = (place != 0) | (penalty == 0)
    pull = penalty * place.sign()
    slope = (point.gradient + pull) * free
    product = objective.curvature(place)
    share = min(0.1, dot(slope, slope) ** 0.25)
    direction = conjugate_gradients(lambda v: product(v) * free, -slope, share=share, most=200)
    step = 1.0
    for _ in range(TRIALS):
        new = place + step * direction
        new = torch.where((penalty > 0) & (new * place < 0), 0.0, new)
        expected, new = dot(slope, new - place), objective.least(new)
        there = objective.at(new)
        gain = float(there.value - point.value) + float((penalty * (new.abs() - place.abs())).sum())
        if gain <= 1e-4 * expected + noise(point.value):
            return new, there
        step /= 2
    return place, point


def recedes(objective: Objective, found: Result) -> bool:
    """Whether the minimum recedes to infinity, judged by Newton's steps from where a minimizer ended.

    Near a minimum the decrement ``g H^-1 g`` is squared by each step. Where the function only falls towards a bound, as
    ``exp(-t)`` does, each step divides it by ``e``.

    Args:
        objective: What was minimized.
        found: Where the minimizer ended.
    """
    place, point, before, slow = found.place, found.point, float("inf"), 0
    for _ in range(RECEDING):
        step = conjugate_gradients(objective.curvature(place), -point.gradient, share=1e-3, most=500)
        decrement = -dot(point.gradient, step)
        # What is lost in the rounding of the value falls no further, minimum or not.
        if decrement <= noise(point.value):
            return False
        slow = slow + 1 if decrement > 0.2 * before else 0
        if slow == 3:
            return True
        place, before = place + step, decrement
        point = objective.at(place)
    return False
