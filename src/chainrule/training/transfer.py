"""Transfer learning: what of a pretrained network learns, and how fast.

The course's recipe (Yosinski et al. 2014, How transferable are features in deep neural networks?): a small data set
trains a new head on frozen layers; a large one trains the other layers, too, at a tenth of the rate. Instead of a
head, the frozen features may be reduced by PCA and given to a linear SVM (Razavian et al. 2014, CNN features
off-the-shelf). The recipe names no number; ``FEW`` is ours.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from chainrule import surgery
from chainrule.config import Config
from chainrule.data import Data
from chainrule.data.batches import Batches
from chainrule.data.dataset import Rows, Split
from chainrule.data.spec import Classes, Inputs, Labels, Target
from chainrule.errors import InputError, listing
from chainrule.models import weights
from chainrule.models.weights import Weights
from chainrule.nn.whitening import PCAWhitening
from chainrule.training.machine import Machine

#: With fewer samples a class than this, ``auto`` trains the head alone.
FEW = 100
#: Rate of the layers that have weights already, where the head has 1.
SLOWER = 0.1
#: Share of the variance of deep features that PCA keeps.
VARIANCE = 0.99
#: What each mode does.
WHAT = {
    "head": "all but the head is frozen",
    "features": "the activations before the head are computed once, reduced by PCA, and learned from by a linear model",
    "all": f"every layer learns, those that have weights already at {SLOWER:g} times the rate of the head",
}


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What is done with a network's weights.

    Attributes:
        mode: ``"none"`` (the network is new), ``"head"``, ``"features"`` or ``"all"``.
        head: Names of the head's tensors.
        told: What is loaded, what learns and why, in sentences.
    """

    mode: str = "none"
    head: frozenset[str] = frozenset()
    told: tuple[str, ...] = ()

    def loss(self, config: Config, target: Target) -> str | None:
        """The loss to learn by: of an SVM the hinge, unless something else is asked for."""
        own = config.loss or config.label_smoothing is not None or config.balance
        return "hinge" if self.mode == "features" and isinstance(target, Classes) and not own else config.loss

    def begin(
        self, network: nn.Module, pretrained: Weights | None, *, call: str, inputs: Inputs, target: Target
    ) -> "Transfer":
        """Put the weights into the network, and freeze what is not to learn.

        Args:
            network: The network.
            pretrained: The weights; None for a network from Python, which has its own.
            call: What built the network.
            inputs: What it takes.
            target: What it is to learn.

        Returns:
            The transfer, with the names of the head's tensors and what was loaded.
        """
        if self.mode == "none":
            return self
        told = self.told
        if pretrained is None:
            last = surgery.head_of(network)
            head = frozenset(name for name in network.state_dict() if name.startswith(f"{last}."))
        else:
            head = weights.head(call, inputs=inputs, target=target)
            last = [name for name in network.state_dict() if name in head][-1].rpartition(".")[0]
            new = weights.load(network, pretrained, head, call=call, target=target)
            total = len(network.state_dict())
            fresh = f"; new: {listing(sorted(new), most=3)}" if new else ""
            told = (f"{call} starts from {pretrained.source}: {total - len(new)} of {total} tensors{fresh}.", *told)
        if self.mode == "head":
            surgery.freeze(network, until=last)
            # Auxiliary heads learn, too.
            for name, parameter in network.named_parameters():
                parameter.requires_grad_(parameter.requires_grad or name in head)
        return replace(self, head=head, told=told)

    def groups(self, network: nn.Module, parameters: Iterable[nn.Parameter], rate: float) -> list[Any]:
        """The parameters as an optimizer takes them: in groups, the head's first, where rates differ."""
        listed = list(parameters)
        if self.mode != "all":
            return listed
        head = {id(parameter) for name, parameter in network.named_parameters() if name in self.head}
        new, old = ([p for p in listed if (id(p) in head) is inside] for inside in (True, False))
        return [{"params": new}, {"params": old, "lr": SLOWER * rate}]


def choose(config: Config, target: Target, targets: Tensor, *, given: bool) -> Transfer:
    """What to do, from the settings and the number of training samples a class.

    Args:
        config: The settings.
        target: Spec of the target.
        targets: The training targets.
        given: Whether the network came from Python, with whatever weights it has.

    Raises:
        InputError: When the settings do not go together.
    """
    if config.weights and given:
        raise InputError("weights= is for a network by name; load them into your module, and leave weights out.")
    if config.transfer and not config.weights and not given:
        raise InputError(
            f"transfer={config.transfer!r} needs a network that has learned already; write --weights with a file, the "
            "directory of a run, or imagenet."
        )
    if not config.weights and not config.transfer:
        return Transfer()
    if config.transfer == "features" and given:
        raise InputError("transfer='features' saves the network by its name; write the model's name and weights=.")
    if config.transfer in WHAT:
        return Transfer(mode=config.transfer, told=(f"Transfer {config.transfer}: {WHAT[config.transfer]}.",))
    classes = isinstance(target, Classes | Labels)
    each = len(targets) // (len(target.names) if classes else 1)
    mode = "head" if each < FEW else "all"
    reason = (
        f"{each} training samples{' a class' if classes else ''} are {'' if each < FEW else 'not '}fewer than {FEW}"
    )
    return Transfer(mode=mode, told=(f"Transfer {mode}, because {reason}: {WHAT[mode]}.",))


def on_features(preparation: nn.Sequential, data: Data, machine: Machine, *, workers: int) -> dict[str, Split]:
    """Compute the deep features of all samples once, learn their PCA, and append it to the preparation.

    Args:
        preparation: Raw inputs to deep features.
        data: The data.
        machine: Where to compute.
        workers: Processes that read samples which are not in memory.

    Returns:
        The splits as the network is to take them.
    """
    rows = {}
    for name, split in data.splits.items():
        batches = Batches(split, size=64, device=machine.device, workers=workers)
        with torch.no_grad():
            preparation.to(machine.device)
            parts = [preparation(piece.inputs).cpu() for pieces in batches.epoch(0) for piece in pieces]
        rows[name] = torch.cat(parts)
    preparation.cpu()
    pca = PCAWhitening(rows["train"].shape[1], components=VARIANCE).learn([rows["train"]])
    preparation.append(pca)
    return {name: Rows(pca(rows[name]), split.targets, split.origin) for name, split in data.splits.items()}
