"""Pretrained weights: every way in, and every wrong one."""

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import chainrule as cr
from chainrule import models, registry
from chainrule.data.spec import Classes, Image, Vector
from chainrule.errors import InputError
from chainrule.models import weights
from chainrule.models.weights import IMAGENET, Weights

TEN = Classes(tuple("0123456789"))
THREE = Classes(("a", "b", "c"))
GREY, COLOUR = Image(1, 16, 16), Image(3, 16, 16)
CALL = "resnet20(width=4)"


def network(inputs: Image = COLOUR, target: Classes = TEN) -> nn.Module:
    return models.build(CALL, inputs=inputs, target=target)


def put(model: nn.Module, given: Weights, inputs: Image = COLOUR, target: Classes = TEN) -> frozenset[str]:
    head = weights.head(CALL, inputs=inputs, target=target)
    return weights.load(model, given, head, call=CALL, target=target)


@pytest.mark.parametrize("how", ["safetensors", "state_dict", "checkpoint", "parallel"])
def test_files_are_read(how: str, tmp_path: Path) -> None:
    made, path = network(), tmp_path / "made.pth"
    state = made.state_dict()
    if how == "safetensors":
        path = tmp_path / "made.safetensors"
        save_file(state, path)
    elif how == "state_dict":
        torch.save(state, path)
    elif how == "checkpoint":
        torch.save({"epoch": 3, "state_dict": state}, path)
    else:
        torch.save({"model": {f"module.{name}": tensor for name, tensor in state.items()}}, path)
    other = network()
    assert put(other, weights.read(path, registry.lookup("model", "resnet20"))) == frozenset()
    for name, tensor in other.state_dict().items():
        assert torch.equal(tensor, state[name])


def test_build_takes_weights(tmp_path: Path) -> None:
    made = network()
    save_file(made.state_dict(), tmp_path / "made.safetensors")
    other = models.build(CALL, inputs=COLOUR, target=THREE, weights=tmp_path / "made.safetensors")
    assert torch.equal(other.conv1.weight, made.conv1.weight)
    assert other.fc.weight.shape == (3, 16)
    with pytest.raises(InputError, match="no weights at nowhere"):
        models.build(CALL, inputs=COLOUR, target=THREE, weights="nowhere")


def test_the_head_stays_new_where_the_classes_are_others() -> None:
    made, other = network(), network(target=THREE)
    before = other.fc.weight.clone()
    given = Weights(tensors=made.state_dict(), source="a test")
    assert put(other, given, target=THREE) == {"fc.weight", "fc.bias"}
    assert torch.equal(other.fc.weight, before)
    assert torch.equal(other.layer3[0].conv1.weight, made.layer3[0].conv1.weight)
    # As many classes, but others: known of a run, not of a file.
    names = Classes(tuple("ABCDEFGHIJ"))
    assert put(network(target=names), given, target=names) == frozenset()
    of_a_run = Weights(tensors=made.state_dict(), source="a run", target=TEN)
    assert put(network(target=names), of_a_run, target=names) == {"fc.weight", "fc.bias"}
    assert put(network(), of_a_run) == frozenset()


def test_grey_images_see_what_colours_would() -> None:
    made, other = network().eval(), network(GREY).eval()
    put(other, Weights(tensors=made.state_dict(), source="a test"), GREY)
    grey = torch.randn(4, 1, 16, 16)
    torch.testing.assert_close(other(grey), made(grey.expand(-1, 3, -1, -1)))


def test_foreign_weights_are_refused_and_change_nothing() -> None:
    other = network()
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    wide = models.build("resnet20(width=8)", inputs=COLOUR, target=TEN)
    lenet = models.build("lenet5", inputs=COLOUR, target=TEN)
    with pytest.raises(InputError, match=r"have another shape for 'conv1.weight', 'bn1.weight'.* write the --model"):
        put(other, Weights(tensors=wide.state_dict(), source="a.pth"))
    with pytest.raises(
        InputError, match=r"a.pth are not those of resnet20\(width=4\): they lack .*and have 'conv1.bias'"
    ):
        put(other, Weights(tensors=lenet.state_dict(), source="a.pth"))
    assert all(torch.equal(tensor, before[name]) for name, tensor in other.state_dict().items())


class Danger:
    """What must not be unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("run",)


def test_bad_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = registry.lookup("model", "resnet20")
    with pytest.raises(InputError, match=r"no weights at nowhere.pth; write a .safetensors file"):
        weights.read("nowhere.pth", row)
    torch.save({"state_dict": Danger()}, tmp_path / "danger.pth")
    (tmp_path / "text.pth").write_text("hello")
    (tmp_path / "empty.safetensors").write_bytes(b"")
    for name in ("danger.pth", "text.pth", "empty.safetensors"):
        with pytest.raises(InputError, match=f"{name} cannot be read as weights .*tensors and plain values alone"):
            weights.read(tmp_path / name, row)
    assert capsys.readouterr().out == ""
    torch.save([1, 2, 3], tmp_path / "list.pth")
    with pytest.raises(InputError, match="holds no tensors by name"):
        weights.read(tmp_path / "list.pth", row)
    with pytest.raises(InputError, match="no weights at"):
        weights.read(tmp_path, row)


def test_public_weights_come_from_the_cache_and_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    made, folder = network(), tmp_path / "checkpoints"
    folder.mkdir()
    torch.save(made.state_dict(), folder / "draft")
    digest = hashlib.sha256((folder / "draft").read_bytes()).hexdigest()
    path = (folder / "draft").rename(folder / f"tiny-{digest[:8]}.pth")
    row = registry.Entry(kind="model", name="tiny", build=network, public=f"https://example.org/{path.name}")
    given = weights.read("imagenet", row)
    assert given.source == f"ImageNet ({path.name})"
    assert put(network(), given) == frozenset()
    step = weights.standardization(given, Image(3, 8, 8))
    assert step is not None
    torch.testing.assert_close(step.mean / 255, torch.tensor(IMAGENET[0], dtype=torch.float64))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=f"is damaged: its SHA-256 begins with .*, not with {digest[:8]}; delete it"):
        weights.read("imagenet", row)


def test_without_a_network_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    # A port on which nothing answers stands for a machine without a network.
    row = registry.Entry(kind="model", name="tiny", build=network, public="http://127.0.0.1:9/tiny-0123abcd.pth")
    with pytest.raises(InputError, match=r"cannot be fetched from http.*write its path instead of 'imagenet'"):
        weights.read("imagenet", row)
    assert list((tmp_path / "checkpoints").iterdir()) == []
    with pytest.raises(InputError, match="lenet5 has no public weights; those that have: alexnet-torchvision"):
        weights.read("imagenet", registry.lookup("model", "lenet5"))


def test_every_public_file_names_its_checksum() -> None:
    public = {name: row for name, row in registry.entries("model").items() if row.public}
    assert set(public) == {
        name for name, row in registry.entries("model").items() if "torchvision." in (row.peer or "")
    }
    for row in public.values():
        stem, _, end = str(row.public).removesuffix(".pth").rpartition("-")
        assert stem.startswith("https://download.pytorch.org/models/")
        assert len(end) == 8
        int(end, 16)


def test_a_run_gives_its_weights_and_its_standardisation(tmp_path: Path) -> None:
    run = cr.fit("digits", model=CALL, out=tmp_path / "run", epochs=1, rate=0.01)
    row, image = registry.lookup("model", "resnet20"), Image(1, 8, 8, white=255)
    for place in (tmp_path / "run", tmp_path / "run" / "model", tmp_path / "run" / "model" / "weights.safetensors"):
        given = weights.read(place, row)
        assert given.source == "the run run"
        other = models.build(CALL, inputs=GREY, target=TEN)
        assert put(other, given, GREY) == frozenset()
        assert torch.equal(other.fc.weight, run.model[1].fc.weight)
        step = weights.standardization(given, image)
        assert step is not None
        # The digits are white at 16, these images at 255: the same grey comes out the same.
        grey = torch.rand(2, 1, 8, 8)
        torch.testing.assert_close(step(255 * grey), run.model[0][0](16 * grey))
    assert weights.standardization(given, Image(3, 8, 8)) is None
    assert weights.standardization(given, Vector.numbers(3)) is None
