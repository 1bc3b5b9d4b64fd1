"""Values of the losses: golden ones, slow versions of the equations, and counterparts in other libraries."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import hinge_loss as sklearn_hinge
from torch import Tensor, nn

from chainrule import losses
from chainrule.errors import InputError
from tests.unchecked import unchecked

TINY = 1e-12


def wide(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def same_with_gradient(ours: Callable[[], Tensor], theirs: Callable[[], Tensor], *leaves: Tensor) -> None:
    """Equal values, and equal gradients to all leaves."""
    one, two = ours(), theirs()
    torch.testing.assert_close(one, two)
    torch.testing.assert_close(torch.autograd.grad(one.sum(), leaves), torch.autograd.grad(two.sum(), leaves))


# --- overlap ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "options", "score"),
    [
        (losses.dice_loss, {}, 0.5),
        (losses.squared_dice_loss, {}, 2 / 3),
        (losses.tversky_loss, {"alpha": 0.3, "beta": 0.7}, 0.5),
        (losses.tversky_loss, {"alpha": 1.0, "beta": 1.0}, 1 / 3),
        (losses.generalized_dice_loss, {}, 0.5),
        (losses.focal_tversky_loss, {"sharpness": 1.0}, 0.5),
    ],
)
def test_golden_overlap(loss: Callable[..., Tensor], options: dict[str, float], score: float) -> None:
    """Masks 1, 0 and probabilities 0.5, 0.5."""
    logits, targets = torch.zeros(1, 1, 2, dtype=torch.float64), torch.tensor([[1, 0]])
    assert loss(logits, targets, smooth=TINY, **options).item() == pytest.approx(1 - score, abs=1e-10)


def pixels(logits: Tensor, targets: Tensor) -> Iterator[list[tuple[list[Tensor], int]]]:
    """Of each sample the pixels that count: probabilities of all classes and the true class."""
    for sample, truth in zip(logits.flatten(2), targets.flatten(1), strict=True):
        columns = zip(sample.T, truth.tolist(), strict=True)
        yield [([*(x.exp() / x.exp().sum())], t) for x, t in columns if t != -100]


def areas(sample: list[tuple[list[Tensor], int]], k: int) -> list[tuple[Any, Any, Any]]:
    """TP, FP and FN of each class."""
    return [
        (
            sum(p[c] for p, t in sample if t == c),
            sum(p[c] for p, t in sample if t != c),
            sum(1 - p[c] for p, t in sample if t == c),
        )
        for c in range(k)
    ]


def slow_tversky(logits: Tensor, targets: Tensor, alpha: float, beta: float, power: float = 1.0) -> Tensor:
    each = [
        sum((1 - tp / (tp + alpha * fp + beta * fn)) ** power for tp, fp, fn in areas(sample, logits.shape[1]))
        for sample in pixels(logits, targets)
    ]
    return torch.stack([total / logits.shape[1] for total in each]).mean()


def slow_squared_dice(logits: Tensor, targets: Tensor) -> Tensor:
    each = []
    for sample in pixels(logits, targets):
        for c in range(logits.shape[1]):
            overlap = sum(p[c] for p, t in sample if t == c)
            each.append(1 - 2 * overlap / (sum(p[c] ** 2 for p, _ in sample) + sum(t == c for _, t in sample)))
    return torch.stack(each).mean()


def slow_generalized_dice(logits: Tensor, targets: Tensor) -> Tensor:
    each = []
    for sample in pixels(logits, targets):
        counts = [sum(t == c for _, t in sample) for c in range(logits.shape[1])]
        finite = [1 / n**2 for n in counts if n]
        weights = [1 / n**2 if n else max(finite) for n in counts]
        parts = list(zip(weights, areas(sample, logits.shape[1]), strict=True))
        above, below = sum(w * tp for w, (tp, _, _) in parts), sum(w * (2 * tp + fp + fn) for w, (tp, fp, fn) in parts)
        each.append(1 - 2 * above / below)
    return torch.stack(each).mean()


@pytest.mark.parametrize(
    ("fast", "slow"),
    [
        (losses.DiceLoss(smooth=TINY), lambda x, t: slow_tversky(x, t, 0.5, 0.5)),
        (losses.TverskyLoss(alpha=0.2, beta=0.9, smooth=TINY), lambda x, t: slow_tversky(x, t, 0.2, 0.9)),
        (losses.FocalTverskyLoss(smooth=TINY), lambda x, t: slow_tversky(x, t, 0.3, 0.7, 0.75)),
        (losses.SquaredDiceLoss(smooth=TINY), slow_squared_dice),
        (losses.GeneralizedDiceLoss(smooth=TINY), slow_generalized_dice),
    ],
    ids=lambda value: type(value).__name__,
)
def test_overlap_is_the_equation(fast: nn.Module, slow: Callable[[Tensor, Tensor], Tensor]) -> None:
    logits, targets = wide(2, 4, 3, 4), torch.randint(3, (2, 3, 4))  # the fourth class is absent
    targets[0, 1, :2] = -100
    same_with_gradient(lambda: fast(logits, targets), lambda: slow(logits, targets), logits)


def test_one_logit_is_a_class_against_zero() -> None:
    z, targets = wide(3, 1, 5), torch.randint(2, (3, 5))
    pair = torch.cat([torch.zeros_like(z), z], dim=1)
    for name in ("focal", "hinge", "crammer-singer", "squared-hinge"):
        same_with_gradient(lambda n=name: losses.loss(n)(z, targets), lambda n=name: losses.loss(n)(pair, targets), z)
    p, g = z.sigmoid()[:, 0], targets
    theirs = 1 - (2 * (p * g).sum(1) / (p.sum(1) + g.sum(1))).mean()
    torch.testing.assert_close(losses.dice_loss(z, targets, smooth=TINY), theirs)


def test_absent_and_not_predicted_is_perfect() -> None:
    background = torch.zeros(1, 6, dtype=torch.long)
    for name in ("dice", "squared-dice", "generalized-dice", "tversky", "focal-tversky"):
        unsure, sure = torch.full((1, 1, 6), -3.0), torch.full((1, 1, 6), -100.0)
        assert losses.loss(name)(sure, background) < 1e-20
        assert losses.loss(name)(unsure, background) > 0.9


def test_rare_class_weighs_as_much_in_generalized_dice() -> None:
    """A missed pixel of a rare class costs as much as a missed big region, in plain pixel counts next to nothing."""
    targets = torch.zeros(1, 1000, dtype=torch.long)
    targets[0, 0] = 1
    logits = torch.tensor([100.0, -100.0]).reshape(1, 2, 1).repeat(1, 1, 1000)  # background everywhere
    # w = (1/999^2, 1): one false positive of the background, one false negative of the pixel.
    expected = 1 - 2 * (999 / 999**2) / ((999 + 1000) / 999**2 + 1)
    assert losses.generalized_dice_loss(logits, targets).item() == pytest.approx(expected, rel=1e-4)
    assert F.cross_entropy(logits, targets) < 0.3


# --- focal -----------------------------------------------------------------------------------------------------------


def test_focal_without_focus_is_cross_entropy() -> None:
    logits, targets = wide(4, 3, 5), torch.randint(3, (4, 5))
    same_with_gradient(
        lambda: losses.focal_loss(logits, targets, gamma=0.0), lambda: F.cross_entropy(logits, targets), logits
    )


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_focal_is_the_equation(gamma: float) -> None:
    logits, targets, weight = wide(6, 3), torch.tensor([0, 1, 2, 2, 1, -100]), torch.tensor([1.0, 2.0, 0.5])
    p = logits.softmax(1)
    each = [-weight[t] * (1 - p[i, t]) ** gamma * p[i, t].log() for i, t in enumerate(targets[:5].tolist())]
    loss = losses.FocalLoss(gamma=gamma, weight=weight.tolist())
    same_with_gradient(lambda: loss(logits, targets), lambda: torch.stack(each).mean(), logits)


def test_focal_weight_moves_with_the_module() -> None:
    module = losses.FocalLoss(weight=[0.25, 0.75])
    assert module.state_dict()["weight"].tolist() == [0.25, 0.75]
    assert module.to("meta").weight.is_meta


# --- margin ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "power"), [("hinge", 1), ("squared-hinge", 2)])
def test_hinge_is_torchs_times_the_classes(name: str, power: int) -> None:
    scores, targets = wide(7, 4), torch.randint(4, (7,))
    same_with_gradient(
        lambda: losses.loss(name, margin=0.5)(scores, targets),
        lambda: 4 * F.multi_margin_loss(scores, targets, p=power, margin=0.5),
        scores,
    )


def test_crammer_singer_is_sklearns() -> None:
    scores, targets = wide(20, 4), torch.randint(4, (20,))
    expected = sklearn_hinge(targets.numpy(), scores.detach().numpy(), labels=[0, 1, 2, 3])
    assert losses.crammer_singer_loss(scores, targets).item() == pytest.approx(expected)


def test_binary_hinge() -> None:
    f, targets = wide(20, 1), torch.randint(2, (20,))
    expected = sklearn_hinge(targets.numpy(), f.detach().numpy()[:, 0])
    assert losses.hinge_loss(f, targets).item() == pytest.approx(expected)


def test_untrained_hinge_is_classes_less_one() -> None:
    assert losses.hinge_loss(torch.zeros(5, 10), torch.arange(5)) == 9


def test_ignored_samples_do_not_count() -> None:
    scores, targets = torch.randn(4, 3), torch.tensor([0, -100, 2, -100])
    for name in ("hinge", "squared-hinge", "crammer-singer", "focal", "capsule-margin"):
        loss, kept = losses.loss(name), losses.loss(name)(scores[::2], targets[::2])
        torch.testing.assert_close(loss(scores, targets), kept)
        each = losses.loss(name, reduction="none")(scores, targets)
        assert each[1::2].tolist() == [0, 0]


def test_capsule_margin() -> None:
    lengths = torch.tensor([[0.9, 0.1, 0.0], [0.5, 0.3, 0.1]], dtype=torch.float64)
    each = losses.capsule_margin_loss(lengths, torch.tensor([0, 1]), reduction="none")
    # (0.9 - 0.3)^2 + 0.5 (0.5 - 0.1)^2
    assert each.tolist() == pytest.approx([0.0, 0.36 + 0.5 * 0.16])
    both = losses.capsule_margin_loss(lengths, torch.tensor([[1, 0, 0], [1, 1, 0]]), reduction="none")
    assert both.tolist() == pytest.approx([0.0, 0.4**2 + 0.6**2])


# --- pairs -----------------------------------------------------------------------------------------------------------


def test_contrastive() -> None:
    first, second = (
        torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]]),
        torch.tensor([[0.3, 0.4], [0.0, 0.0], [0.3, 0.4]]),
    )
    each = losses.contrastive_loss(first, second, torch.tensor([1, 0, 0]), reduction="none")
    assert each.tolist() == pytest.approx([0.25, 0.0, 0.25])
    mask = torch.tensor([True, False, False])
    assert torch.equal(losses.contrastive_loss(first, second, mask, reduction="none"), each)


def test_triplets() -> None:
    a, p, n = wide(6, 3), wide(6, 3), wide(6, 3)
    each = [((a[i] - p[i]) ** 2).sum() - ((a[i] - n[i]) ** 2).sum() + 0.2 for i in range(6)]
    squares = torch.stack([x if x > 0 else 0 * x for x in each])
    same_with_gradient(lambda: losses.squared_triplet_loss(a, p, n, reduction="none"), lambda: squares, a, p, n)


def test_sigmoid_triplet_is_the_euclidean_less_its_margin() -> None:
    a, p, n = wide(6, 3), wide(6, 3), wide(6, 3)
    same_with_gradient(
        lambda: losses.sigmoid_triplet_loss(a, p, n, margin=0.3),
        lambda: F.triplet_margin_loss(a.sigmoid(), p.sigmoid(), n.sigmoid(), margin=0.3, eps=0.0) - 0.3,
        *(a, p, n),
    )


def test_torchs_triplet_is_finite_at_equal_embeddings() -> None:
    a = torch.ones(4, 3, requires_grad=True)
    losses.loss("triplet-margin")(a, a * 1.0, a * 1.0).backward()
    assert a.grad is not None
    assert a.grad.isfinite().all()


# --- distributions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unbiased", [False, True])
def test_mmd_is_the_equation(unbiased: bool) -> None:
    x, y, bandwidths = wide(5, 2), wide(4, 2), (0.5, 2.0)

    def kernel(u: Tensor, v: Tensor) -> Tensor:
        return torch.stack([(-((u - v) ** 2).sum() / (2 * s * s)).exp() for s in bandwidths]).mean()

    def mean(left: Tensor, right: Tensor) -> Tensor:
        pairs = [
            kernel(u, v)
            for i, u in enumerate(left)
            for j, v in enumerate(right)
            if not (unbiased and left is right and i == j)
        ]
        return torch.stack(pairs).mean()

    same_with_gradient(
        lambda: losses.mmd_loss(x, y, bandwidths=bandwidths, unbiased=unbiased),
        lambda: mean(x, x) + mean(y, y) - 2 * mean(x, y),
        *(x, y),
    )


def test_mmd_tells_distributions_apart() -> None:
    x, y, shifted = torch.randn(300, 2), torch.randn(200, 2), torch.randn(200, 2) + 1
    assert losses.mmd_loss(x, x) == 0
    assert losses.mmd_loss(x, y) >= 0
    assert abs(losses.mmd_loss(x, y, unbiased=True)) < 0.02
    assert losses.mmd_loss(x, shifted, unbiased=True) > 0.1


def test_unbiased_mmd_has_the_right_mean() -> None:
    estimates = [
        losses.mmd_loss(torch.randn(8, 1), torch.randn(8, 1), bandwidths=[1.0], unbiased=True) for _ in range(400)
    ]
    values = torch.stack(estimates)
    assert abs(values.mean()) < 3 * values.std() / math.sqrt(len(values))
    assert values.min() < 0


def test_mmd_does_not_depend_on_the_unit() -> None:
    x, y = torch.randn(20, 3), torch.randn(20, 3) + 1
    torch.testing.assert_close(losses.mmd_loss(1000 * x, 1000 * y), losses.mmd_loss(x, y))


# --- games -----------------------------------------------------------------------------------------------------------


def test_minimax_is_binary_cross_entropy() -> None:
    real, fake = wide(5, 1), wide(5, 1)
    bce, one = F.binary_cross_entropy_with_logits, torch.ones(5, 1, dtype=torch.float64)
    game, other = losses.loss("gan-minimax"), losses.loss("gan-non-saturating")
    same_with_gradient(lambda: game(real, fake), lambda: bce(real, one) + bce(fake, 0 * one), real, fake)
    same_with_gradient(lambda: game.generator(fake), lambda: -bce(fake, 0 * one), fake)
    same_with_gradient(lambda: other.generator(fake), lambda: bce(fake, one), fake)
    zero = torch.zeros(5)
    assert game(zero, zero).item() == pytest.approx(math.log(4))


def test_other_games() -> None:
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.5])
    each = {name: losses.loss(f"gan-{name}", reduction="none") for name in ("least-squares", "hinge", "wasserstein")}
    assert each["least-squares"](real, fake).tolist() == [(1 + 9) / 2, (0.25 + 0.25) / 2]
    assert each["least-squares"].generator(fake).tolist() == [8.0, 0.125]
    assert each["hinge"](real, fake).tolist() == [0.0, 2.0]
    assert each["hinge"].generator(fake).tolist() == [3.0, -0.5]
    assert each["wasserstein"](real, fake).tolist() == [-5.0, 0.0]
    assert each["wasserstein"].generator(fake).tolist() == [3.0, -0.5]


def test_patches_count_by_their_mean() -> None:
    real, fake = torch.randn(3, 1, 4, 4), torch.randn(3, 1, 4, 4)
    each = losses.hinge_discriminator_loss(real, fake, reduction="none")
    torch.testing.assert_close(each, (F.relu(1 - real) + F.relu(1 + fake)).mean((1, 2, 3)))


def test_gradient_penalty_of_a_plane() -> None:
    """The slope of a linear critic is its weight, everywhere."""
    weight = torch.tensor([3.0, 4.0], requires_grad=True)
    real, fake = torch.randn(6, 2), torch.randn(6, 2)
    each = losses.gradient_penalty(lambda x: x @ weight, real, fake, reduction="none")
    torch.testing.assert_close(each, torch.full((6,), 10 * (5.0 - 1) ** 2))
    (slope,) = torch.autograd.grad(each.mean(), weight)
    torch.testing.assert_close(slope, 20 * (5 - 1) * weight.detach() / 5)


def test_gradient_penalty_is_measured_between_the_samples() -> None:
    seen = []

    def critic(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return x.square().sum((1, 2, 3))

    real, fake = torch.zeros(50, 1, 2, 2), torch.ones(50, 1, 2, 2)
    with torch.no_grad():  # a validation loop measures it, too
        game = losses.WassersteinGame()
        value = game.penalty(critic, real, fake, penalty=1.0)
    shares = seen[0].flatten(1)
    assert (shares == shares[:, :1]).all()  # one share a sample
    assert 0 <= shares.min() < 0.2 < 0.8 < shares.max() <= 1
    torch.testing.assert_close(value, ((2 * 2 * shares[:, 0] - 1) ** 2).mean())
    draws = [losses.gradient_penalty(critic, real, fake, generator=torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*draws)


@pytest.mark.parametrize("slope", [0.0, 1.0])
def test_gradient_penalty_is_finite_on_a_flat_critic(slope: float) -> None:
    weight = torch.full((2,), slope, requires_grad=True)
    losses.gradient_penalty(lambda x: (x * 0 * weight).sum(1), torch.ones(3, 2), torch.ones(3, 2)).backward()
    assert weight.grad is not None
    assert weight.grad.isfinite().all()


# --- images ----------------------------------------------------------------------------------------------------------


def test_style_is_the_equation() -> None:
    f, p = wide(1, 3, 2, 4), wide(1, 3, 2, 4)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(3):
        for j in range(3):
            total = total + ((f[0, i] * f[0, j]).sum() - (p[0, i] * p[0, j]).sum()) ** 2
    same_with_gradient(lambda: losses.style_loss(f, p), lambda: total / (4 * 3**2 * 8**2), f, p)


def test_style_does_not_depend_on_place_or_size() -> None:
    f = torch.randn(2, 3, 4, 4)
    mirrored, doubled = f.flip(3), f.repeat(1, 1, 1, 2)
    assert losses.style_loss(mirrored, doubled) < 1e-12
    assert losses.content_loss(mirrored, f) > 1


def test_content() -> None:
    f, p = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    torch.testing.assert_close(losses.content_loss(f, p), F.mse_loss(f, p, reduction="sum") / 2 / 2)


def test_total_variation_is_torchmetrics() -> None:
    from torchmetrics.functional.image import total_variation

    images = wide(2, 3, 5, 4)
    same_with_gradient(
        lambda: losses.total_variation_loss(images), lambda: total_variation(images, reduction="mean"), images
    )


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cross-entropy", nn.CrossEntropyLoss),
        ("CrossEntropyLoss", nn.CrossEntropyLoss),
        ("mse", nn.MSELoss),
        ("l1", nn.L1Loss),
        ("huber", nn.HuberLoss),
        ("bce_with_logits", nn.BCEWithLogitsLoss),
        ("triplet-margin", nn.TripletMarginLoss),
        ("dice", losses.DiceLoss),
    ],
)
def test_by_name(name: str, kind: type[nn.Module]) -> None:
    assert type(losses.loss(name)) is kind


def test_no_name_hides_another() -> None:
    keys = [losses._key(name) for name in [*losses.TORCH, *losses.registry.entries("loss")]]
    assert sorted(keys) == sorted(set(keys))


def test_options_by_name() -> None:
    assert losses.loss("cross-entropy(label_smoothing=0.1)").label_smoothing == 0.1
    built = losses.loss("tversky(alpha=0.1)", beta=0.9)
    assert built.options["alpha"] == 0.1
    assert built.options["beta"] == 0.9


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("diec", r"no loss named 'diec'; did you mean 'dice'\?"),
        ("crosentropy", "did you mean 'CrossEntropyLoss'"),
        ("hinge(margn=1)", "did you mean 'margin'"),
        ("hinge(margin=-1)", "margin must be a number greater than 0; received -1"),
        ("dice(smooth=0)", "smooth must be a number greater than 0; received 0"),
        ("dice(reduction='batch')", "reduction must be 'mean', 'sum' or 'none'; received 'batch'"),
        ("capsule-margin(absent=0.9)", "absent must be less than present"),
        ("focal(weight=[1, -1])", "weight must be one number a class, none less than 0"),
    ],
)
def test_wrong_names_and_options(call: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        losses.loss(call)


LOGITS, IMAGE = torch.zeros(2, 3), torch.zeros(2, 3, 4, 4)


@pytest.mark.parametrize(
    ("loss", "inputs", "sentence"),
    [
        ("hinge", (LOGITS, torch.eye(3)[:2]), r"Logits \[2, 3\] want .* \[2\]; received float32 \[2, 3\]; .*argmax"),
        ("dice", (IMAGE, torch.zeros(2, 3, 4, 4).long()), "write targets.argmax"),
        ("dice", (IMAGE[:, :1], torch.zeros(2, 1, 4, 4)), r"write targets.squeeze\(1\).long\(\)"),
        ("dice", (IMAGE, torch.zeros(2, 4, 4)), r"received float32 \[2, 4, 4\]; write targets.long\(\)"),
        ("dice", (IMAGE, torch.zeros(2, 4, 5).long()), r"whole numbers \[2, 4, 4\]; received int64 \[2, 4, 5\]\.$"),
        ("focal", (LOGITS, torch.tensor([0, 3])), "class indices from 0 to 2, or -100"),
        ("hinge", (LOGITS[:, :1], torch.tensor([0, 2])), "class indices from 0 to 1"),
        ("hinge", (LOGITS, torch.tensor([0, -1])), "received one that is neither"),
        ("capsule-margin", (LOGITS, torch.zeros(2, 4)), r"whole numbers \[2\]"),
        (
            "focal(weight=[1, 2])",
            (LOGITS, torch.tensor([0, 1])),
            r"a class, \[3\]; received the shape \[2\]",
        ),
        ("contrastive", (LOGITS, torch.zeros(2, 4), torch.ones(2)), r"first and second must have the same shape"),
        ("contrastive", (LOGITS, LOGITS, torch.ones(3)), r"\[2\] and \[3\]"),
        ("squared-triplet", (LOGITS, LOGITS, LOGITS[:1]), "anchor and negative must have the same shape"),
        ("mmd", (LOGITS, torch.zeros(2, 4)), r"received \[2, 3\] and \[2, 4\]"),
        ("mmd(unbiased=True)", (LOGITS, LOGITS[:1]), "at least 2 points"),
        ("gan-hinge", (LOGITS, LOGITS[:1]), "real and fake must have the same shape"),
        ("style", (IMAGE, IMAGE[:, :2]), "same b and c"),
        ("content", (IMAGE, IMAGE[:1]), "features and wanted must have the same shape"),
    ],
)
def test_wrong_inputs(loss: str, inputs: tuple[Tensor, ...], sentence: str) -> None:
    with unchecked(), pytest.raises(InputError, match=sentence):
        losses.loss(loss)(*inputs)
