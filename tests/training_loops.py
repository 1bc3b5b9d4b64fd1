"""Training loops as people write them, sound ones and ones with a fault, for the tests of what watches them.

Each is one pass: ``loop(model, loss, optimizer, batches)``.
"""

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.utils.data import DataLoader, TensorDataset

Loss = Callable[[Any, Any], Tensor]
Batches = Iterable[tuple[Tensor, Tensor]]
Loop = Callable[[nn.Module, Loss, Optimizer, Batches], None]


def table(rows: int = 96, *, batch: int = 16, shuffle: bool = True) -> DataLoader:
    """Three classes of five columns that can be learned."""
    own = torch.Generator().manual_seed(3)
    inputs = torch.randn(rows, 5, generator=own)
    targets = (inputs @ torch.randn(5, 3, generator=own)).argmax(1)
    return DataLoader(TensorDataset(inputs, targets), batch_size=batch, shuffle=shuffle)


def network(*, dropout: bool = False) -> nn.Module:
    """A small network; with layers that differ between the modes, or without."""
    torch.manual_seed(0)
    extra: list[nn.Module] = [nn.BatchNorm1d(12), nn.Dropout(0.2)] if dropout else []
    return nn.Sequential(nn.Linear(5, 12), *extra, nn.ReLU(), nn.Linear(12, 3))


def sgd(model: nn.Module) -> Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.05)


def momentum(model: nn.Module) -> Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4)


def adam(model: nn.Module) -> Optimizer:
    return torch.optim.Adam(model.parameters(), lr=1e-2)


# --- sound loops


def usual(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    model.train()
    for inputs, targets in batches:
        optimizer.zero_grad()
        loss(model(inputs), targets).backward()
        optimizer.step()


def zeroed_last(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    for inputs, targets in batches:
        loss(model(inputs), targets).backward()
        optimizer.step()
        model.zero_grad(set_to_none=False)


def by_hand(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    """The gradients are zeroed without zero_grad."""
    for inputs, targets in batches:
        for weight in model.parameters():
            weight.grad = None
        loss(model(inputs), targets).backward()
        optimizer.step()


def accumulating(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    for number, (inputs, targets) in enumerate(batches, start=1):
        (loss(model(inputs), targets) / 3).backward()
        if number % 3 == 0:
            optimizer.step()
            optimizer.zero_grad()


def clipping(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    for inputs, targets in batches:
        optimizer.zero_grad()
        loss(model(inputs), targets).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()


def autocast(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    for inputs, targets in batches:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = loss(model(inputs), targets)
        value.backward()
        optimizer.step()


def scaled(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    scaler = torch.amp.GradScaler("cpu")
    for inputs, targets in batches:
        optimizer.zero_grad()
        scaler.scale(loss(model(inputs), targets)).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()


def with_closure(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    for inputs, targets in batches:

        def closure(inputs: Tensor = inputs, targets: Tensor = targets) -> Tensor:
            optimizer.zero_grad()
            value = loss(model(inputs), targets)
            value.backward()
            return value

        optimizer.step(closure)


def two_passes(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    """Two forward passes for one step, as consistency losses make them."""
    for inputs, targets in batches:
        optimizer.zero_grad()
        first, second = model(inputs), model(inputs + 0.01)
        (loss(first, targets) + functional.mse_loss(first, second)).backward()
        optimizer.step()


def two_losses(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    """Two backward passes for one step, of two terms."""
    for inputs, targets in batches:
        optimizer.zero_grad()
        outputs = model(inputs)
        loss(outputs, targets).backward(retain_graph=True)
        (0.1 * outputs.square().mean()).backward()
        optimizer.step()


def adversarial(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    """The model is the critic of a generator that has an optimizer of its own."""
    torch.manual_seed(1)
    maker = nn.Linear(4, 5)
    other = torch.optim.Adam(maker.parameters(), lr=1e-3)
    for inputs, targets in batches:
        fake = maker(torch.randn(len(inputs), 4))
        optimizer.zero_grad()
        loss(model(inputs), targets).backward()
        loss(model(fake.detach()), torch.zeros_like(targets)).backward()
        optimizer.step()
        other.zero_grad()
        loss(model(fake), torch.ones_like(targets)).backward()
        other.step()


def validating(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    usual(model, loss, optimizer, batches)
    model.eval()
    with torch.no_grad():
        for inputs, _ in table(32):
            model(inputs + 1)
    model.train()


def annealed(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    """A rate that falls over the pass, stepped after each batch."""
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda number: 1 - number / 7)
    for inputs, targets in batches:
        optimizer.zero_grad()
        loss(model(inputs), targets).backward()
        optimizer.step()
        schedule.step()


def bounded(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    """The weights are bounded after each step, and averaged in a copy."""
    average = torch.optim.swa_utils.AveragedModel(model)
    for inputs, targets in batches:
        optimizer.zero_grad()
        loss(model(inputs), targets).backward()
        optimizer.step()
        average.update_parameters(model)
        with torch.no_grad():
            for weight in model.parameters():
                weight.clamp_(-2, 2)


def without_optimizer(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    for inputs, targets in batches:
        gradients = torch.autograd.grad(loss(model(inputs), targets), list(model.parameters()))
        with torch.no_grad():
            for weight, gradient in zip(model.parameters(), gradients, strict=True):
                weight -= 0.05 * gradient


SOUND: dict[str, Loop] = {
    loop.__name__: loop
    for loop in (
        usual,
        zeroed_last,
        by_hand,
        accumulating,
        clipping,
        autocast,
        scaled,
        with_closure,
        two_passes,
        two_losses,
        adversarial,
        validating,
        annealed,
        bounded,
        without_optimizer,
    )
}


# --- loops with a fault


def never_zeroed(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    for inputs, targets in batches:
        loss(model(inputs), targets).backward()
        optimizer.step()


def partly_zeroed(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    first: nn.Module = model[0]  # type: ignore[index]
    for inputs, targets in batches:
        first.zero_grad()
        loss(model(inputs), targets).backward()
        optimizer.step()


def closure_never_zeroed(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    for inputs, targets in batches:

        def closure(inputs: Tensor = inputs, targets: Tensor = targets) -> Tensor:
            value = loss(model(inputs), targets)
            value.backward()
            return value

        optimizer.step(closure)


def undivided(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    for number, (inputs, targets) in enumerate(batches, start=1):
        loss(model(inputs), targets).backward()
        if number % 3 == 0:
            optimizer.step()
            optimizer.zero_grad()


def zeroed_between(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    for inputs, targets in batches:
        loss(model(inputs), targets).backward()
        optimizer.zero_grad()
        optimizer.step()


def step_missing(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    for inputs, targets in batches:
        optimizer.zero_grad()
        loss(model(inputs), targets).backward()


def step_of_another(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    old = copy.deepcopy(model)
    other = torch.optim.SGD(old.parameters(), lr=0.1)
    for inputs, targets in batches:
        other.zero_grad()
        model.zero_grad()
        loss(model(inputs), targets).backward()
        other.step()


def step_of_a_second(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    if not hasattr(loss, "second"):
        loss.second = torch.optim.SGD(model.parameters(), lr=0.1)  # type: ignore[attr-defined]
    usual(model, loss, loss.second, batches)  # type: ignore[attr-defined]


def step_first(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    for inputs, targets in batches:
        optimizer.zero_grad()
        value = loss(model(inputs), targets)
        optimizer.step()
        value.backward()


def step_late(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    """Torch lets it pass where no layer stands under another."""
    for inputs, targets in batches:
        outputs = model(inputs)
        optimizer.step()
        optimizer.zero_grad()
        loss(outputs, targets).backward()


def backward_missing(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    for inputs, targets in batches:
        optimizer.zero_grad()
        loss(model(inputs), targets)
        optimizer.step()


def forward_only(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    for inputs, targets in batches:
        loss(model(inputs), targets)


def steps_repeated(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    for inputs, targets in batches:
        optimizer.zero_grad()
        loss(model(inputs), targets).backward()
        for _ in range(4):
            optimizer.step()


def detached(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    for inputs, targets in batches:
        optimizer.zero_grad()
        value = torch.tensor(loss(model(inputs), targets).item(), requires_grad=True)
        value.backward()
        optimizer.step()


def partly_detached(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    layers: list[nn.Module] = list(model)  # type: ignore[arg-type]
    for inputs, targets in batches:
        optimizer.zero_grad()
        hidden = nn.Sequential(*layers[:-1])(inputs).detach()
        loss(layers[-1](hidden), targets).backward()
        optimizer.step()


def evaluating(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    model.eval()
    for inputs, targets in batches:
        optimizer.zero_grad()
        loss(model(inputs), targets).backward()
        optimizer.step()


def never_put_back(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    zeroed_last(model, loss, optimizer, batches)
    model.eval()
    with torch.no_grad():
        for inputs, _ in table(32):
            model(inputs + 1)


def validating_in_training_mode(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    usual(model, loss, optimizer, batches)
    with torch.no_grad():
        for inputs, _ in table(32):
            model(inputs + 1)


def one_batch(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    for _ in range(8):
        inputs, targets = next(iter(batches))
        optimizer.zero_grad()
        loss(model(inputs), targets).backward()
        optimizer.step()


def new_optimizer_each_step(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    for inputs, targets in batches:
        own = torch.optim.Adam(model.parameters(), lr=1e-2)
        own.zero_grad()
        loss(model(inputs), targets).backward()
        own.step()


def clipped_to_nothing(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    for inputs, targets in batches:
        optimizer.zero_grad()
        loss(model(inputs), targets).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1e-5)
        optimizer.step()


def summed(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    for inputs, targets in batches:
        optimizer.zero_grad()
        (loss(model(inputs), targets) * len(inputs)).backward()
        optimizer.step()


def tiny(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    for inputs, targets in batches:
        optimizer.zero_grad()
        (loss(model(inputs), targets) / 1000).backward()
        optimizer.step()


def initialised_inside(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    for inputs, targets in batches:
        for layer in model:  # type: ignore[attr-defined]
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
        optimizer.zero_grad()
        loss(model(inputs), targets).backward()
        optimizer.step()


def loaded_inside(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    start = copy.deepcopy(model.state_dict())
    for inputs, targets in batches:
        model.load_state_dict(start)
        optimizer.zero_grad()
        loss(model(inputs), targets).backward()
        optimizer.step()


def stepped_each_batch(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    """A decay that is meant for epochs, at each batch."""
    for inputs, targets in batches:
        optimizer.zero_grad()
        loss(model(inputs), targets).backward()
        optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] *= 0.2


def rate_raised(model: nn.Module, loss: Loss, optimizer: Optimizer, batches: Batches) -> None:
    for inputs, targets in batches:
        optimizer.zero_grad()
        loss(model(inputs), targets).backward()
        optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] *= 2.5


#: The check that names the fault, its status, and the loop.
SICK: list[tuple[str, str, Loop]] = [
    ("gradients-not-zeroed", "FAIL", never_zeroed),
    ("gradients-not-zeroed", "FAIL", partly_zeroed),
    ("accumulated-loss", "WARN", undivided),
    ("zeroed-before-step", "FAIL", zeroed_between),
    ("no-step", "FAIL", step_missing),
    ("no-step", "FAIL", step_of_another),
    ("no-step", "WARN", step_of_a_second),
    ("no-step", "FAIL", step_first),
    ("no-backward", "FAIL", backward_missing),
    ("no-backward", "FAIL", forward_only),
    ("no-backward", "WARN", steps_repeated),
    ("detached-loss", "FAIL", detached),
    ("evaluation-mode", "FAIL", evaluating),
    ("evaluation-mode", "FAIL", never_put_back),
    ("training-mode-in-validation", "WARN", validating_in_training_mode),
    ("rate-moves", "FAIL", new_optimizer_each_step),
    ("rate-moves", "FAIL", stepped_each_batch),
    ("rate-moves", "FAIL", rate_raised),
    ("clipped-away", "FAIL", clipped_to_nothing),
    ("loss-scale", "WARN", summed),
    ("loss-scale", "WARN", tiny),
    ("weights-overwritten", "FAIL", initialised_inside),
    ("weights-overwritten", "FAIL", loaded_inside),
]
