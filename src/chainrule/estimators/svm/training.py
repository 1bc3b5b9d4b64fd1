"""From samples and a kernel to solved duals: which problems are solved side by side, in what precision and memory."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from sklearn.exceptions import ConvergenceWarning

from chainrule.errors import InputError
from chainrule.estimators.kernels import AbstractKernel, Kernel, diagonal
from chainrule.estimators.memory import MIB
from chainrule.estimators.svm.columns import PART, Rows, Stack
from chainrule.estimators.svm.solver import Dual, Solution, solve
from chainrule.shapes import Float, Int, Tensor

#: Variables of a working set at most, when a problem is alone and when several are solved side by side.
ALONE, TOGETHER = 1024, 384
#: Samples of a problem that is solved exactly, in one working set.
WHOLE = 256
#: Fewest kernel columns that have to fit into the memory.
FEWEST = 8


@dataclass(frozen=True)
class Task:
    """One problem on some of the samples, float64.

    Attributes:
        samples: Which samples.
        target: What the decision is to be: -1 and 1, or real numbers.
        lower: Lower bound of each coefficient.
        upper: Upper bound of each coefficient.
        epsilon: Errors of the decision that do not count; None for classes, where only falling short of one counts.
    """

    samples: Int[Tensor, " n"]
    target: Float[Tensor, " n"]
    lower: Float[Tensor, " n"]
    upper: Float[Tensor, " n"]
    epsilon: float | None = None


@dataclass(frozen=True)
class Outcome:
    """A solved problem, with the quantities of the course.

    Attributes:
        x: Coefficients of the support-vector expansion.
        offset: Its constant, ``b``.
        margin: ``1 / ||w||``, half the width between the classes.
        slack: Sum of the slacks.
        violation: Largest violation of the KKT conditions: that of the most violating pair.
        primal: Primal objective, ``1/2 ||w||^2`` and the weighted slacks.
        dual: Dual objective; never above the primal one.
        sets: Working sets that it took.
        largest: Largest slack of a sample.
    """

    x: Float[Tensor, " n"]
    offset: float
    margin: float
    slack: float
    violation: float
    primal: float
    dual: float
    sets: int
    largest: float


class Samples:
    """The samples that problems are made of, and their kernel.

    Args:
        X: Samples ``[n, d]``, or their Gram matrix when there is no kernel.
        kernel: The kernel.
    """

    def __init__(self, X: Float[Tensor, "n d"], kernel: Kernel | None) -> None:
        self.X, self.kernel = X, kernel

    def rows(self, chosen: Int[Tensor, " m"], dtype: torch.dtype) -> Rows:
        """What computes kernel columns of these samples, by their place among them."""
        kernel = self.kernel
        if kernel is None:
            return lambda some: self.X[chosen[some]][:, chosen].to(dtype)
        points = self.X[chosen].to(dtype)
        if not isinstance(kernel, AbstractKernel):
            return lambda some: torch.as_tensor(kernel(points[some], points)).to(points)
        against = kernel.against(points)
        return lambda some: against(self.X[chosen[some]].to(dtype))

    def between(self, some: Int[Tensor, " n"], others: Int[Tensor, " m"]) -> Float[Tensor, "n m"]:
        """The kernel of some samples with others."""
        if self.kernel is None:
            return self.X[some][:, others]
        return torch.as_tensor(self.kernel(self.X[some], self.X[others])).to(self.X)

    def diagonal(self) -> Float[Tensor, " n"]:
        """``K(x, x)`` of each sample."""
        return self.X.diagonal() if self.kernel is None else diagonal(self.kernel, self.X)

    def precision(self, bound: float, tol: float) -> torch.dtype:
        """Single precision where there are many samples and its rounding moves no decision by ``tol``, else double.

        Args:
            bound: Greatest coefficient.
            tol: Violation that is good enough.
        """
        if len(self.X) <= ALONE:
            return torch.float64
        if not isinstance(self.kernel, AbstractKernel | None):
            return self.X.dtype
        # The longest samples round worst.
        by_size = self.X.square().sum(dim=1).argsort(descending=True)
        some = torch.cat([by_size[:64], by_size[:: max(1, len(by_size) // 64)][:64]])
        coarse = self.rows(some, torch.float32)(torch.arange(len(some), device=some.device)).double()
        exact = self.rows(some, torch.float64)(torch.arange(len(some), device=some.device))
        error = float((coarse - exact).abs().max())
        return torch.float32 if error * bound * len(self.X) ** 0.5 <= tol / 2 else torch.float64


@dataclass(frozen=True)
class Plan:
    """Problems that are solved side by side.

    Attributes:
        tasks: Their numbers.
        size: Samples of the largest.
        capacity: Kernel columns that are kept of each.
        count: Variables in a working set.
    """

    tasks: list[int]
    size: int
    capacity: int
    count: int


def plans(sizes: list[int], features: int, bytes_each: int, memory: float) -> Iterator[Plan]:
    """Put problems into groups that fit into the memory.

    Args:
        sizes: Samples of each problem.
        features: Numbers of a sample.
        bytes_each: Bytes of a number of a kernel column.
        memory: The bound, MiB.

    Raises:
        InputError: When the memory does not hold even a few kernel columns.
    """
    budget = int(memory * MIB) - 2 * PART

    def beside(size: int, count: int) -> int:
        # Working copies: the samples, the kernel of the working set, and what Newton's method makes of it.
        return size * features * bytes_each + count * count * (bytes_each + 24) + 20 * 8 * size

    order = sorted(range(len(sizes)), key=lambda task: -sizes[task])
    while order:
        size = sizes[order[0]]
        count = min(size, TOGETHER, max(WHOLE, size // 4))
        together = budget // (size * size * bytes_each + beside(size, count))
        if together >= 2 and len(order) >= 2:
            yield Plan(order[:together], size, size, count)
            order = order[together:]
            continue
        count = min(size, ALONE, max(WHOLE, size // 4))
        capacity = min(size, (budget - beside(size, count)) // (size * bytes_each))
        while capacity < min(size, 2 * count) and count > FEWEST:
            count = max(FEWEST, count // 2)
            capacity = min(size, (budget - beside(size, count)) // (size * bytes_each))
        if capacity < min(size, FEWEST):
            least = FEWEST * size * bytes_each + beside(size, FEWEST) + 2 * PART
            raise InputError(
                f"memory={memory:g} MiB does not hold {FEWEST} kernel columns of {size} samples; "
                f"write memory={-(-least // MIB)} or more."
            )
        yield Plan(order[:1], size, capacity, min(count, capacity))
        order = order[1:]


def train(samples: Samples, tasks: list[Task], *, tol: float, max_iter: int, memory: float) -> list[Outcome]:
    """Solve all problems.

    Args:
        samples: What they are made of.
        tasks: The problems.
        tol: Violation of the most violating pair that is good enough.
        max_iter: Most working sets of each problem; -1 for no bound.
        memory: Bound of what is needed beside the samples, MiB.
    """
    bound = max(float(torch.maximum(task.upper, -task.lower).max()) for task in tasks)
    dtype = samples.precision(bound, tol)
    sets = max_iter if max_iter >= 0 else 10**9
    outcomes: dict[int, Outcome] = {}
    groups = list(plans([len(task.samples) for task in tasks], samples.X.shape[1], dtype.itemsize, memory))
    # One piece for all groups: to get fresh memory for each takes longer than to fill it.
    most = max(len(plan.tasks) * plan.capacity * plan.size for plan in groups)
    most += most % 2
    table = torch.empty(most, device=samples.X.device, dtype=dtype)
    for plan in groups:
        group = [tasks[number] for number in plan.tasks]
        solution = solved(samples, group, plan, table, tol=tol, sets=sets)
        for place, number in enumerate(plan.tasks):
            outcomes[number] = outcome(tasks[number], solution, place)
    unfinished = [number for number, one in outcomes.items() if not one.violation <= tol]
    if unfinished:
        worst = max(unfinished, key=lambda number: outcomes[number].violation)
        warnings.warn(
            f"The support vector machine stopped after {outcomes[worst].sets} working sets with a violation of "
            f"{outcomes[worst].violation:.2g}, above tol={tol:g}; scale the samples, write a smaller C, or a greater "
            "tol or max_iter.",
            ConvergenceWarning,
            stacklevel=3,
        )
    return [outcomes[number] for number in range(len(tasks))]


def padded(group: list[Task], size: int) -> Dual:
    """The problems as one, with variables that cannot move where one is smaller."""

    def wide(parts: list[Tensor]) -> Tensor:
        return torch.stack([torch.nn.functional.pad(part, (0, size - len(part))) for part in parts])

    return Dual(
        wide([task.target for task in group]),
        wide([task.lower for task in group]),
        wide([task.upper for task in group]),
        group[0].epsilon or 0.0,
    )


def solved(
    samples: Samples, group: list[Task], plan: Plan, table: Float[Tensor, " m"], *, tol: float, sets: int
) -> Solution:
    """Solve a group; where single precision is not enough to reach ``tol``, go on in double."""
    dual = padded(group, plan.size)

    def attempt(table: Tensor, capacity: int, start: Tensor) -> Solution:
        rows = [wider(samples.rows(task.samples, table.dtype), len(task.samples), plan.size) for task in group]
        stack = Stack(rows, plan.size, capacity, table)
        return solve(stack, dual, start, count=min(plan.count, capacity), tol=tol, sets=sets)

    solution = attempt(table, plan.capacity, torch.zeros_like(dual.target))
    if table.dtype == torch.float64 or not bool((solution.stuck & (solution.sets < sets)).any()):
        return solution
    # Columns need twice the memory now, so half as many are kept.
    return attempt(table.view(torch.float64), plan.capacity // 2, solution.x)


def wider(rows: Rows, samples: int, size: int) -> Rows:
    """Columns filled up with zeros to this length; samples that do not exist have any column, as they never move."""

    def filled(some: Tensor) -> Tensor:
        part = rows(some.clamp_max(samples - 1))
        return part if part.shape[1] == size else torch.nn.functional.pad(part, (0, size - part.shape[1]))

    return filled


def outcome(task: Task, solution: Solution, place: int) -> Outcome:
    """What one problem of a group came to."""
    n = len(task.samples)
    x, values, offset = solution.x[place, :n], solution.values[place, :n], solution.offset[place]
    square = float(x @ values)
    error = task.target - values - offset
    slack = (error * task.target if task.epsilon is None else error.abs() - task.epsilon).clamp_min(0)
    cost = torch.where(error > 0, task.upper, -task.lower)
    return Outcome(
        x=x,
        offset=float(offset),
        margin=square**-0.5 if square > 0 else float("inf"),
        slack=float(slack.sum()),
        violation=max(0.0, float(solution.violation[place])),
        primal=square / 2 + float((cost * slack).sum()),
        dual=float(task.target @ x) - (task.epsilon or 0.0) * float(x.abs().sum()) - square / 2,
        sets=int(solution.sets[place]),
        largest=float(slack.max()),
    )
