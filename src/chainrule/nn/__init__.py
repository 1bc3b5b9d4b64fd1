"""Layers that torch lacks, and the preparations that live inside a saved model."""

from chainrule.nn import init
from chainrule.nn.activations import (
    APLU,
    PDELU,
    SRS,
    Average,
    FlexibleMeLU,
    GaLU,
    LearnableMish,
    LearnableSwish,
    Maxout,
    MeLU,
    SoftLearnable,
    SReLU,
    Symmetric,
    activation,
)
from chainrule.nn.affine import Affine
from chainrule.nn.frozen import FrozenBatchNorm
from chainrule.nn.preparation import Standardize, TableEncoder
from chainrule.nn.regularizers import DropConnect, Elastic, StochasticDepth, depth_rates, elastic, max_norm_
from chainrule.nn.resize import Resize
from chainrule.nn.scaling import MeanImage, MinMaxScale
from chainrule.nn.squeeze import SqueezeExcitation
from chainrule.nn.whitening import PCAWhitening, ZCAWhitening

__all__ = [
    "APLU",
    "PDELU",
    "SRS",
    "Affine",
    "Average",
    "DropConnect",
    "Elastic",
    "FlexibleMeLU",
    "FrozenBatchNorm",
    "GaLU",
    "LearnableMish",
    "LearnableSwish",
    "Maxout",
    "MeLU",
    "MeanImage",
    "MinMaxScale",
    "PCAWhitening",
    "Resize",
    "SReLU",
    "SoftLearnable",
    "SqueezeExcitation",
    "Standardize",
    "StochasticDepth",
    "Symmetric",
    "TableEncoder",
    "ZCAWhitening",
    "activation",
    "depth_rates",
    "elastic",
    "init",
    "max_norm_",
]
