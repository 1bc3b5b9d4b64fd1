"""The shared networks are torchvision's and timm's, weight by weight: names, shapes, outputs, gradients."""

import json
from typing import Any

import pytest
import torch
from torch import nn

from chainrule import registry
from tests.parity import golden_vision
from tests.parity.golden_vision import fill, names_of, outputs_of, sample, shared, theirs

GOLDEN = json.loads(golden_vision.FILE.read_text(encoding="utf-8"))
#: Above so many parameters a network takes seconds to fill and to run.
LARGE = 30_000_000


def each_shared(most: int) -> Any:
    """Each shared network; what is larger than ``most`` parameters is slow."""
    rows = [registry.lookup("model", name) for name in shared()]
    cases = [pytest.param(row.name, marks=[pytest.mark.slow] if row.parameters > most else []) for row in rows]  # type: ignore[operator]
    return pytest.mark.parametrize("name", cases)


def ours(name: str) -> nn.Module:
    network: nn.Module = registry.lookup("model", name).make()
    return network


def test_every_shared_network_is_written_down() -> None:
    assert set(GOLDEN) == set(shared())
    assert len(GOLDEN) == 31


@each_shared(most=10**9)
def test_names_are_the_peers(name: str) -> None:
    with torch.device("meta"):
        assert names_of(ours(name)) == GOLDEN[name]["names"]


@each_shared(most=12_000_000)
def test_outputs_are_the_peers(name: str) -> None:
    found, wanted = (torch.tensor(logits) for logits in (outputs_of(ours(name)), GOLDEN[name]["outputs"]))
    # In units of the logits' deviation; another order of sums shows in the last digits.
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=0)


@each_shared(most=LARGE)
def test_values_and_gradients_are_the_peers(name: str) -> None:
    try:
        peer = theirs(shared()[name])
    except ImportError:
        pytest.skip("the peer is not installed; write make peers")
    network = ours(name)
    fill(peer)
    network.load_state_dict(peer.state_dict(), strict=True)
    network.eval(), peer.eval()
    grads = []
    for model in (peer, network):
        output = model(sample())
        output = output / output.detach().std()
        grads.append((output.detach(), torch.autograd.grad(output.square().mean(), list(model.parameters())[:3])))
    torch.testing.assert_close(grads[1][0], grads[0][0], atol=1e-5, rtol=1e-5)
    for found, wanted in zip(grads[1][1], grads[0][1], strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-4 * wanted.abs().max().item(), rtol=1e-4)
