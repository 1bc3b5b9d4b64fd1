"""The networks: their papers' numbers, and what is said when data and model do not fit."""

import pytest
import torch
from torch import nn

from chainrule import models
from chainrule.data.spec import Classes, Image, Labels, Real, Vector
from chainrule.errors import InputError, UnknownNameError
from chainrule.models import assembly
from chainrule.models.vision.lenet import LeNet5
from chainrule.models.vision.resnet_cifar import ResNetCifar


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_parameter_counts_of_the_papers() -> None:
    assert count(LeNet5(channels=1, classes=10, size=28)) == 61_706
    assert count(ResNetCifar(channels=3, classes=10)) == 269_722
    for blocks, parameters in ((5, 464_154), (7, 658_586), (9, 853_018), (18, 1_727_962)):
        assert count(ResNetCifar(blocks=blocks, channels=3, classes=10)) == parameters


def test_lenet_takes_any_size_that_leaves_a_map() -> None:
    for size in (12, 28, 33, (20, 45)):
        height, width = (size, size) if isinstance(size, int) else size
        assert LeNet5(channels=2, classes=3, size=size)(torch.randn(2, 2, height, width)).shape == (2, 3)
    with pytest.raises(InputError, match="at least 12x12 pixels, received 11x28"):
        LeNet5(size=(11, 28))


def test_resnet_halves_the_map_twice() -> None:
    network, shapes = ResNetCifar(channels=3, classes=10), []
    for stage in (network.layer1, network.layer2, network.layer3):
        stage.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape)))
    network(torch.randn(2, 3, 32, 32))
    assert shapes == [(2, 16, 32, 32), (2, 32, 16, 16), (2, 64, 8, 8)]


def test_building_by_name_follows_the_specs() -> None:
    classes = Classes(("a", "b", "c"))
    assert models.build("linear", inputs=Vector.numbers(7), target=Real(("y",)))(torch.randn(2, 7)).shape == (2, 1)
    image = Image(3, 16, 20)
    for name in ("linear", "mlp(width=8)", "lenet5", "resnet20(width=4)"):
        assert models.build(name, inputs=image, target=classes)(torch.randn(2, 3, 16, 20)).shape == (2, 3)
    assert models.default(Vector.numbers(3)) == "mlp"
    assert models.default(Image(1, 28, 28)) == "lenet5"
    assert models.default(Image(3, 28, 28)) == models.default(Image(1, 64, 64)) == "resnet20"


def foreign(inputs: object, target: Classes, *, width: int = 4) -> nn.Module:
    """A user's own factory."""
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(width), nn.ReLU(), nn.LazyLinear(len(target.names)))


def no_module() -> int:
    """Not what is wanted."""
    return 3


def test_a_users_own_factory_gets_the_specs_that_it_names() -> None:
    call = f"{__name__}:foreign(width=6)"
    network = models.build(call, inputs=Vector.numbers(5), target=Labels(("a", "b")))
    assert network(torch.randn(3, 5)).shape == (3, 2)


@pytest.mark.parametrize(
    ("call", "inputs", "error", "sentence"),
    [
        (
            "lenet5",
            Vector.numbers(3),
            InputError,
            "lenet5 takes .*images.*, but these inputs are tables; write --model",
        ),
        ("resnet", Image(3, 32, 32), UnknownNameError, "did you mean 'resnet"),
        ("mlp(widht=3)", Vector.numbers(3), UnknownNameError, "did you mean 'width'"),
        ("no_such_module:Net", Vector.numbers(3), InputError, "cannot be imported"),
        ("torch.nn:Lineer", Vector.numbers(3), InputError, "cannot be imported"),
        (f"{__name__}:no_module", Vector.numbers(3), InputError, "must give a torch.nn.Module; it gave int"),
    ],
)
def test_what_does_not_fit_gets_a_sentence(call: str, inputs: object, error: type, sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        models.build(call, inputs=inputs, target=Classes(("a", "b")))


def test_a_saved_model_takes_raw_inputs(tmp_path) -> None:
    from chainrule.data import load
    from chainrule.data.batches import Batches
    from chainrule.tasks import for_target

    data = load("digits")
    train = Batches(data.train, size=1024, device=assembly.CPU)
    preparation = assembly.learn_preparation(data.inputs, train, smallest=28)
    inner = assembly.prepared(data.inputs, preparation)
    assert (inner.height, inner.width) == (28, 28)
    network = models.build("lenet5", inputs=inner, target=data.target)
    model = nn.Sequential(preparation, network, for_target(data.target, data.train.targets).output()).eval()
    assembly.save_description(tmp_path, model, "lenet5", data.inputs, data.target)
    assembly.save_weights(tmp_path, model)
    again, inputs, target = assembly.load(tmp_path)
    assert (inputs, target) == (data.inputs, data.target)
    outputs = assembly.run(again, data.test.inputs, batch=100)
    torch.testing.assert_close(outputs, model(data.test.inputs), rtol=0, atol=1e-6)
    torch.testing.assert_close(outputs.sum(dim=1), torch.ones(len(data.test)))
