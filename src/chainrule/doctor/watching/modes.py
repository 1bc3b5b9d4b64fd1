"""In which mode a watched model runs: training or evaluation, with or without a graph."""

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd


class Modes:
    """The layers of a model that differ between the modes, and the forward passes that look like a validation.

    Args:
        model: Any network.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._layers = {name or type(part).__name__: part for name, part in model.named_modules() if differs(part)}
        self.kinds = {name: type(layer).__name__ for name, layer in self._layers.items()}
        self.validating = 0
        self._trained: set[int] = set()
        self._validated: set[int] = set()
        self._run: list[int] = []

    @property
    def lively(self) -> bool:
        """Whether the model or any of these layers is in training mode; single layers are put out of it on purpose."""
        return bool(self._layers) and (self._model.training or any(layer.training for layer in self._layers.values()))

    def with_graph(self, batch: int) -> None:
        """A forward pass with a graph: training."""
        self._trained.add(batch)
        self._close()

    def without_graph(self, batch: int) -> None:
        """A forward pass without a graph: a validation, unless it is of inputs that were trained on."""
        if self.lively and batch not in self._trained:
            self._run.append(batch)

    def stepped(self) -> None:
        """A step has been made; few enough batches are remembered for a long loop."""
        self._close()
        if len(self._trained) > 10_000:
            self._trained.clear()

    def _close(self) -> None:
        # A single pass of new inputs is how a GAN draws samples; a validation has several, or the same ones each time.
        again = [batch for batch in self._run if batch in self._validated]
        self.validating += len(self._run) if len(self._run) > 1 else len(again)
        if len(self._validated) < 10_000:
            self._validated.update(self._run)
        self._run = []


def differs(layer: nn.Module) -> bool:
    """Whether a layer does something else in evaluation mode; batch normalisation that is frozen does not count."""
    if isinstance(layer, _NormBase):
        own = list(layer.parameters(recurse=False))
        return layer.track_running_stats and (not own or any(weight.requires_grad for weight in own))
    if isinstance(layer, _DropoutNd):
        return layer.p > 0
    return isinstance(layer, nn.RNNBase | nn.MultiheadAttention) and layer.dropout > 0
