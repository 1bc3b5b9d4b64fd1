"""Auxiliary heads: what they add to the loss, what is shown, and that they learn."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from chainrule import api, models
from chainrule.data.batches import Batch
from chainrule.data.spec import Classes, Image
from chainrule.models import weights
from chainrule.tasks import AuxiliaryHeads, Classification


def batch() -> Batch:
    return Batch(torch.zeros(6, 1), torch.arange(6) % 3, torch.arange(6), total=6)


def test_each_further_head_counts_a_part() -> None:
    task = AuxiliaryHeads(Classification([2, 2, 2]), 0.3)
    logits = torch.randn(3, 6, 3)
    output = task.step("fit", lambda raw: logits, batch())
    main, second, third = (F.cross_entropy(head, batch().targets, reduction="none") for head in logits)
    assert output.auxiliary is not None
    torch.testing.assert_close(output.losses, main)
    torch.testing.assert_close(output.auxiliary, 0.3 * (second + third))
    assert torch.equal(output.output, logits[0])
    shown, descended = output.share(12)
    torch.testing.assert_close(shown, main.sum() / 12)
    torch.testing.assert_close(descended, (main + 0.3 * (second + third)).sum() / 12)


def test_one_head_is_the_task_itself() -> None:
    plain, task = Classification([1, 2, 3]), AuxiliaryHeads(Classification([1, 2, 3]), 0.3)
    logits = torch.randn(6, 3)
    for one, other in zip(
        task.step("fit", lambda raw: logits, batch()), plain.step("fit", lambda raw: logits, batch()), strict=True
    ):
        assert one is None if other is None else torch.equal(one, other)
    targets = torch.arange(6) % 3
    assert task.reference(targets) == plain.reference(targets)
    assert (task.name, task.phases, task.rising) == (plain.name, plain.phases, plain.rising)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_all_heads_of_googlenet_learn_in_fit(accumulate: int, tmp_path: Path) -> None:
    images = torch.randint(0, 256, (40, 1, 48, 48), dtype=torch.uint8).numpy()
    model = "googlenet(width=4, dropout=0.0, head_dropout=0.0)"
    job = api.begin(
        (images, (torch.arange(40) % 3).numpy()),
        model=model,
        epochs=1,
        rate=0.01,
        accumulate=accumulate,
        out=tmp_path / "run",
    )
    network = job.session.plan.model[1]
    before = {name: tensor.clone() for name, tensor in network.named_parameters()}
    shown = [event for event in job if type(event).__name__ == "Step"]
    after = dict(network.named_parameters())
    assert [name for name in before if torch.equal(before[name], after[name])] == []
    # The loss of one head, not of 1.6.
    assert all(0.5 < event.loss < 1.6 for event in shown)


def test_heads_of_a_network_are_those_that_depend_on_the_classes() -> None:
    def head(model: str) -> set[str]:
        names = weights.head(model, inputs=Image(1, 64, 64), target=Classes(("a", "b")))
        return {name.rpartition(".")[0] for name in names}

    assert head("googlenet(width=4)") == {"fc", "aux1.fc2", "aux2.fc2"}
    assert head("vgg11") == {"classifier.6"}
    assert head("efficientnet-b0") == {"classifier.1"}
    assert head("mlp(width=2)") == {"fc"}


def test_seen_from_outside_a_training_network_gives_all_heads() -> None:
    network = models.build("googlenet(width=4)", inputs=Image(1, 64, 64), target=Classes(("a", "b")))
    x: Tensor = torch.randn(2, 1, 64, 64)
    assert network.train()(x).shape == (3, 2, 2)
    assert network.eval()(x).shape == (2, 2)
