"""``Window``: what has happened since the last step."""

from dataclasses import dataclass, field

from chainrule.doctor.watching.record import Step


@dataclass
class Window:
    """Counts since the last step; a step takes them and begins a new window.

    Attributes:
        forwards: Forward passes with a graph.
        late: Of these, those after the last backward pass.
        lively: Of these, those with a layer in training mode that knows the mode.
        validation: Of these, those of validation samples.
        batches: What identifies their inputs.
        size: Samples in the last of them.
        draws: Batches taken.
        backwards: Backward passes that gave gradients, since these were empty the last time.
        lowest: For each parameter the least norm of its gradient at the start of a backward pass.
        arrived: Norm of the gradients after the last backward pass.
        factor: What the last loss was multiplied by.
    """

    forwards: int = 0
    late: int = 0
    lively: int = 0
    validation: int = 0
    batches: list[int] = field(default_factory=list)
    size: int = 0
    draws: int = 0
    backwards: int = 0
    lowest: list[float] | None = None
    arrived: float = 0.0
    factor: float = 1.0

    def begun_with(self, sizes: list[float]) -> None:
        """A backward pass begins while the gradients have these norms."""
        if not any(sizes):
            self.backwards = 0
        self.lowest = [min(pair) for pair in zip(self.lowest, sizes, strict=True)] if self.lowest else sizes

    def carried(self, names: list[str]) -> tuple[str, ...]:
        """Names of the parameters whose gradients were never empty when a backward pass began."""
        if not self.backwards or self.lowest is None:
            return ()
        return tuple(name for name, size in zip(names, self.lowest, strict=True) if size > 0)

    def step(self, names: list[str], *, closure: bool) -> Step:
        """What a step takes of it.

        Args:
            names: Of the parameters.
            closure: Whether the step evaluates the loss itself.
        """
        return Step(
            closure=closure,
            forwards=self.forwards,
            late=self.late,
            batch=hash(tuple(self.batches)) if any(self.batches) else 0,
            size=self.size,
            validation=self.validation / max(self.forwards, 1),
            evaluation=self.forwards > 0 and self.lively == 0,
            draws=self.draws,
            backwards=self.backwards,
            carried=self.carried(names),
            factor=self.factor,
        )
