"""Initializers by name, for the weights of linear and convolutional layers; biases become 0.

A linear layer with ``n_in`` independent inputs of mean 0 has outputs of variance ``n_in Var(w) Var(x)``, and the
gradient grows by ``n_out Var(w)`` on its way back. So ``Var(w) = 1 / n_in`` keeps the activations of a linear network
(LeCun et al. 1998), ``2 / (n_in + n_out)`` is the compromise with the gradients (Glorot and Bengio 2010), and
``2 / n_in`` makes up for the half that ReLU sets to 0 (He et al. 2015). All of them draw through ``torch.nn.init``::

    init.apply(model, "kaiming")
    init.apply(model, "small-random(std=0.001)")
"""

import torch
from torch import nn

from chainrule import registry
from chainrule.errors import InputError
from chainrule.nn.weights import weighted_layers
from chainrule.registry import register
from chainrule.shapes import Float, Tensor

GLOROT = {"paper": "Glorot, Bengio 2010, Understanding the difficulty of training deep feedforward nets", "year": 2010}
HE = {"paper": "He, Zhang, Ren, Sun 2015, Delving deep into rectifiers", "year": 2015}


@torch.no_grad()
def apply(model: nn.Module, call: str) -> nn.Module:
    """Draw the weights of all linear and convolutional layers anew, and set their biases to 0; other layers stay.

    Args:
        model: The model; it is changed in place.
        call: Name of the initializer, or the name with options.

    Returns:
        The same model.

    Raises:
        UnknownNameError: When there is no such initializer; the sentence names the nearest.
        InputError: When it does not know an option, or the model has no such layer.
    """
    asked = registry.parse(call)
    entry = registry.lookup("initializer", asked.name)
    for layer, weight in weighted_layers(model):
        # A contiguous copy, because torch's orthogonal_ cannot write into a transposed weight.
        drawn = weight.clone(memory_format=torch.contiguous_format)
        registry.call(entry.build, asked.options, asked.name, weight=drawn)
        weight.copy_(drawn)
        if isinstance(layer.bias, Tensor):
            nn.init.zeros_(layer.bias)
    return model


@register("initializer", "zero")
def zero(weight: Float[Tensor, "k d *kernel"]) -> None:
    """All 0: every unit of a layer stays like its neighbours, so a deep network does not learn."""
    nn.init.zeros_(weight)


@register(
    "initializer",
    "small-random",
    paper="Krizhevsky, Sutskever, Hinton 2012, ImageNet classification with deep convolutional neural networks",
    year=2012,
)
def small_random(weight: Float[Tensor, "k d *kernel"], *, std: float = 0.01) -> None:
    """Normal with one small deviation for all layers; in a deep network the activations die out.

    Raises:
        InputError: When ``std`` is negative.
    """
    if not std >= 0:
        raise InputError(f"small-random wants std, a deviation, from 0 up; received {std!r}.")
    nn.init.normal_(weight, std=std)


@register("initializer", "xavier-normal", **GLOROT)
def xavier_normal(weight: Float[Tensor, "k d *kernel"], *, gain: float = 1.0) -> None:
    """Normal of variance ``2 / (n_in + n_out)``, for layers followed by tanh or nothing."""
    nn.init.xavier_normal_(weight, gain=gain)


@register("initializer", "xavier-uniform", **GLOROT)
def xavier_uniform(weight: Float[Tensor, "k d *kernel"], *, gain: float = 1.0) -> None:
    """Uniform of variance ``2 / (n_in + n_out)``: from ``-a`` to ``a``, ``a = sqrt(6 / (n_in + n_out))``."""
    nn.init.xavier_uniform_(weight, gain=gain)


@register("initializer", "kaiming", **HE)
def kaiming(weight: Float[Tensor, "k d *kernel"], *, slope: float = 0.0) -> None:
    """Normal of variance ``2 / n_in``, for layers followed by ReLU; ``2 / ((1 + slope^2) n_in)`` for leaky ones."""
    nn.init.kaiming_normal_(weight, a=slope, nonlinearity="leaky_relu")


@register("initializer", "kaiming-uniform", **HE)
def kaiming_uniform(weight: Float[Tensor, "k d *kernel"], *, slope: float = 0.0) -> None:
    """Uniform of variance ``2 / n_in``: from ``-a`` to ``a``, ``a = sqrt(6 / n_in)``."""
    nn.init.kaiming_uniform_(weight, a=slope, nonlinearity="leaky_relu")


@register("initializer", "lecun", paper="LeCun, Bottou, Orr, Müller 1998, Efficient backprop", year=1998)
def lecun(weight: Float[Tensor, "k d *kernel"]) -> None:
    """Normal of variance ``1 / n_in``, for layers followed by SELU or nothing."""
    nn.init.kaiming_normal_(weight, nonlinearity="linear")


@register(
    "initializer",
    "orthogonal",
    paper="Saxe, McClelland, Ganguli 2014, Exact solutions to the nonlinear dynamics of learning",
    year=2014,
)
def orthogonal(weight: Float[Tensor, "k d *kernel"], *, gain: float = 1.0) -> None:
    """A random orthogonal matrix, the kernel flattened: the length of a vector is kept, times ``gain``."""
    nn.init.orthogonal_(weight, gain=gain)
