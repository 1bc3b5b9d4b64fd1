"""Faults of programs on sequences, by recurrent, convolutional and attending networks."""

import inspect
import logging
import math
import statistics
import textwrap
from collections import Counter
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from benchmarks.faults.case import Case, Parts, Script, adam, parted, planted, sgd
from torch import Tensor, nn

TOKENS, LENGTH = 10, 12


def counted(*, apart: bool = False) -> Parts:
    """Sequences of tokens; the class is how often the token 0 or 1 comes: up to once, twice or three times, more.

    Args:
        apart: Whether the labels of the training part are those of other sequences.
    """
    draw = torch.Generator().manual_seed(0)
    x = torch.randint(TOKENS, (1200, LENGTH), generator=draw)
    y = ((x < 2).sum(1) - 1).clamp(0, 3).div(1.5).long()
    (x, y), valid = parted(x, y, standardised=False)
    return (x, y.roll(7) if apart else y), valid


def sums(*, flat: bool = False) -> Parts:
    """Sequences of numbers, and their sum over the square root of their number."""
    x = torch.randn(900, 10, 1, generator=torch.Generator().manual_seed(0))
    y = x.sum(1) / math.sqrt(10)
    return parted(x, y[:, 0] if flat else y, standardised=False)


def forecasts(*, future: bool = False, level: float = 0.0) -> Parts:
    """Windows of 20 values of a noisy autoregressive series and the value thereafter.

    Args:
        future: Whether the value asked for is the last one of the window.
        level: What is added to the series.
    """
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(1000, generator=draw)
    series = [0.0, 0.0]
    for step in range(998):
        series.append(1.5 * series[-1] - 0.8 * series[-2] + 0.7 * float(noise[step]))
    values = torch.tensor(series)
    values = (values - values.mean()) / values.std() + level
    windows = values.unfold(0, 21, 1)
    return parted(windows[:, 1:] if future else windows[:, :-1], windows[:, -1:], standardised=False, mixed=False)


def waves() -> Parts:
    """One period or more of a sine, a square or a saw, with noise."""
    draw = torch.Generator().manual_seed(0)
    y = torch.randint(3, (900,), generator=draw)
    phase = torch.linspace(0, 3, 48) * (1 + torch.rand(900, 1, generator=draw)) + torch.rand(900, 1, generator=draw)
    shapes = torch.stack((torch.sin(2 * math.pi * phase), ((phase % 1) < 0.5) * 2.0 - 1, (phase % 1) * 2 - 1))
    x = shapes[y, torch.arange(900)] + 0.3 * torch.randn(900, 48, generator=draw)
    return parted(x[:, None], y, standardised=False)


def characters() -> Parts:
    """Windows of sixteen characters of sentences, and the character thereafter, as numbers of 27 kinds.

    The sentences are drawn from the 200 commonest words of some docstrings: windows of the docstrings themselves come
    again, in both parts.
    """
    text = " ".join(
        inspect.getdoc(part) or ""
        for part in (statistics, textwrap.TextWrapper, Counter, logging, logging.Logger, inspect)
    )
    words = "".join(c if c.isalpha() and c.isascii() else " " for c in text.lower()).split()
    common = [word for word, _ in Counter(word for word in words if len(word) > 2).most_common(200)]
    drawn = torch.randint(len(common), (900,), generator=torch.Generator().manual_seed(0)).tolist()
    codes = torch.tensor([0 if c == " " else ord(c) - 96 for c in " ".join(common[word] for word in drawn)])[:4016]
    windows = codes.unfold(0, 17, 1)
    return parted(windows[:, :16], windows[:, 16], standardised=False, mixed=False)


def repeats() -> Parts:
    """Sequences of tokens; each place is to be marked where its token is the one before."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randint(3, (600, LENGTH), generator=draw)
    y = torch.cat((torch.zeros(600, 1, dtype=torch.long), (x[:, 1:] == x[:, :-1]).long()), dim=1)
    return parted(x, y, standardised=False)


class Recurrent(nn.Module):
    """Embedding, recurrent layer, and a dense layer on the last step.

    Args:
        kind: ``nn.LSTM`` or ``nn.GRU``.
        symbols: Number of tokens; 0 for sequences of numbers.
        out: Outputs.
        hidden: Units.
        read: What is read: "last", the "first" step, the "start" state, or the "wrong axis" of the final state.
        first: Whether the recurrent layer takes the batch first.
        turned: Whether axes are swapped by ``view``.
    """

    def __init__(
        self, kind: Any, symbols: int, out: int, *, hidden: int = 32, read: str = "last", first: bool = True,
        turned: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.embedding = nn.Embedding(symbols, 16) if symbols else nn.Identity()
        self.rnn = kind(16 if symbols else 1, hidden, batch_first=first)
        self.fc = nn.Linear(hidden, out)
        self.read, self.hidden, self.turned = read, hidden, turned

    def forward(self, x: Tensor) -> Tensor:
        x = self.embedding(x)
        if self.turned:
            x = x.view(x.shape[1], x.shape[0], -1)
        if self.read == "start":
            state = torch.zeros(1, len(x), self.hidden)
            self.rnn(x, state)
            return self.fc(state[-1])
        steps, final = self.rnn(x)
        final = final[0] if isinstance(final, tuple) else final
        if self.read == "wrong axis":
            return self.fc(final[:, -1])
        if self.turned:
            return self.fc(final[-1])
        return self.fc(steps[:, 0 if self.read == "first" else -1])


class Stateful(nn.Module):
    """A GRU that begins each batch with the state that the batch before has left.

    Args:
        cut: Whether that state is cut off from its graph.
    """

    def __init__(self, *, cut: bool = True) -> None:
        super().__init__()
        self.rnn, self.fc, self.cut = nn.GRU(1, 32, batch_first=True), nn.Linear(32, 1), cut
        self.state: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        kept = self.state if self.state is not None and self.state.shape[1] == len(x) else None
        steps, state = self.rnn(x, kept)
        self.state = state.detach() if self.cut else state
        return self.fc(steps[:, -1])


class Tagger(nn.Module):
    """A bidirectional GRU that marks each place.

    Args:
        axis: Axis of the log-softmax.
    """

    def __init__(self, axis: int = 2) -> None:
        super().__init__()
        self.embedding, self.rnn = nn.Embedding(3, 8), nn.GRU(8, 16, batch_first=True, bidirectional=True)
        self.fc, self.axis = nn.Linear(32, 2), axis

    def forward(self, x: Tensor) -> Tensor:
        return torch.log_softmax(self.fc(self.rnn(self.embedding(x))[0]), dim=self.axis)


class Attending(nn.Module):
    """A small transformer encoder with learnt positions, and the mean over places.

    Args:
        out: Outputs.
        first: Whether the encoder takes the batch first.
        dropout: Its rate.
        depth: Layers.
    """

    def __init__(self, out: int = 3, *, first: bool = True, dropout: float = 0.0, depth: int = 1) -> None:
        super().__init__()
        self.embedding, self.places = nn.Embedding(TOKENS, 32), nn.Parameter(0.1 * torch.randn(LENGTH, 32))
        layer = nn.TransformerEncoderLayer(32, 2, 64, dropout, batch_first=first)
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.fc = nn.Linear(32, out)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.encoder(self.embedding(x) + self.places).mean(1))


def conv(channels: int = 16, last: tuple[nn.Module, ...] = ()) -> nn.Module:
    """Two 1-D convolutions and the mean over places."""
    return nn.Sequential(
        nn.Conv1d(1, channels, 5, padding=2), nn.BatchNorm1d(channels), nn.ReLU(),
        nn.MaxPool1d(2), nn.Conv1d(channels, 32, 5, padding=2), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
        nn.Linear(32, 3), *last,
    )  # fmt: skip


def forecaster(last: tuple[nn.Module, ...] = ()) -> nn.Module:
    """A 1-D convolution over the window, and dense layers."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 20)), nn.Conv1d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 32), nn.ReLU(),
        nn.Linear(32, 1), *last,
    )  # fmt: skip


def speller(width: int = 64, last: tuple[nn.Module, ...] = ()) -> nn.Module:
    """Embedded characters through dense layers."""
    return nn.Sequential(
        nn.Embedding(27, 16), nn.Flatten(), nn.Linear(256, width), nn.ReLU(), nn.Linear(width, 27), *last
    )


def places(outputs: Tensor, targets: Tensor) -> Tensor:
    """Negative log-likelihood over all places."""
    return F.nll_loss(outputs.flatten(0, 1), targets.flatten())


CE, MSE = nn.CrossEntropyLoss(), nn.MSELoss()
LSTM = Script(
    name="tokens-lstm", data=counted, net=partial(Recurrent, nn.LSTM, TOKENS, 3), loss=CE, optimizer=adam(0.01),
    batch=32, epochs=12,
)  # fmt: skip
SUMS = Script(
    name="sums-gru", data=sums, net=partial(Recurrent, nn.GRU, 0, 1), loss=MSE, optimizer=adam(0.01), epochs=10
)
ATTENDING = Script(
    name="tokens-transformer", data=counted, net=Attending, loss=CE, optimizer=adam(0.003), batch=64, epochs=10
)
SERIES = Script(
    name="forecast", data=forecasts, net=forecaster, loss=F.mse_loss, optimizer=sgd(0.02), batch=32, epochs=10
)
WAVES = Script(name="waves", data=waves, net=conv, loss=CE, optimizer=adam(0.005), batch=32, epochs=12)
SPELLER = Script(name="characters", data=characters, net=speller, loss=CE, optimizer=adam(0.003), batch=64, epochs=10)
TAGS = Script(name="tags", data=repeats, net=Tagger, loss=places, optimizer=adam(0.01), batch=32, epochs=6)

FAULTS: list[Case] = [
    planted(LSTM, "not-batch-first", "the LSTM takes the batch for time", "batch-leak",
            net=partial(Recurrent, nn.LSTM, TOKENS, 3, first=False)),
    planted(LSTM, "wrong-axis", "the last sample of the final state is read, not the last layer",
            "runs output-shape", net=partial(Recurrent, nn.LSTM, TOKENS, 3, read="wrong axis")),
    planted(LSTM, "rate-times-100", "rate 100 times too high", "rate-too-high", optimizer=adam(1.0)),
    planted(LSTM, "one-unit", "one hidden unit", "bottleneck capacity",
            net=partial(Recurrent, nn.LSTM, TOKENS, 3, hidden=1)),
    planted(LSTM, "labels-apart", "labels are those of other sequences", "unrelated-targets",
            data=partial(counted, apart=True)),
    planted(SUMS, "start-state", "the state before the sequence is read", "input-independent",
            net=partial(Recurrent, nn.GRU, 0, 1, read="start")),
    planted(SUMS, "first-step", "the first step is read, not the last", "missing-layers memorises",
            net=partial(Recurrent, nn.GRU, 0, 1, read="first")),
    planted(SUMS, "view", "axes swapped by view, which mixes the samples", "batch-leak",
            net=partial(Recurrent, nn.GRU, 0, 1, first=False, turned=True)),
    planted(SUMS, "cut-state", "the state of the batch before is where the next one starts", "batch-leak",
            net=Stateful),
    planted(SUMS, "kept-state", "the state is kept over unrelated batches, with its graph", "runs batch-leak",
            net=partial(Stateful, cut=False)),
    planted(SUMS, "flat-targets", "targets [n] against outputs [n, 1]", "output-shape", data=partial(sums, flat=True)),
    planted(SUMS, "rate-over-1000", "rate 1000 times too low", "rate-too-low", optimizer=adam(1e-5)),
    planted(ATTENDING, "not-batch-first", "attention from sample to sample", "batch-leak",
            net=partial(Attending, first=False)),
    planted(ATTENDING, "rate-times-100", "rate 100 times too high", "rate-too-high", optimizer=adam(0.3)),
    planted(ATTENDING, "dropout", "dropout of 0.9", "dropout-rate", net=partial(Attending, dropout=0.9)),
    planted(ATTENDING, "head-only", "the optimizer has the parameters of the head", "optimizer-parameters",
            optimizer=lambda model: torch.optim.Adam(model.fc.parameters(), lr=0.003)),
    planted(SERIES, "future", "the value asked for is in the window", "giveaway", data=partial(forecasts, future=True)),
    planted(SERIES, "level", "a series around 200", "input-scale target-scale", data=partial(forecasts, level=200.0)),
    planted(SERIES, "relu-output", "ReLU on the output", "last-activation",
            net=lambda: forecaster(last=(nn.ReLU(),))),
    planted(WAVES, "loss-of-argmax", "the loss is of the argmax, which has no gradient", "no-gradient wrong-loss",
            loss=lambda outputs, y: F.mse_loss(outputs.argmax(1).float(), y.float()).requires_grad_()),
    planted(WAVES, "relu-logits", "ReLU on the logits", "last-activation", net=partial(conv, last=(nn.ReLU(),))),
    planted(SPELLER, "few-units", "one hidden unit for 27 classes", "bottleneck capacity", net=partial(speller, 1)),
    planted(SPELLER, "softmax-twice", "softmax before cross-entropy", "softmax-twice",
            net=partial(speller, last=(nn.Softmax(dim=1),))),
    planted(SPELLER, "one-epoch", "one epoch", "too-few-epochs", epochs=1),
    planted(SPELLER, "no-log-softmax", "logits in the negative log-likelihood", "missing-activation wrong-loss",
            loss=nn.NLLLoss()),
    planted(TAGS, "softmax-over-batch", "log-softmax over the first of three axes, as without dim", "softmax-dimension",
            net=partial(Tagger, 0)),
    planted(TAGS, "epsilon", "Adam with epsilon 1", "optimizer-settings", optimizer=adam(0.01, eps=1.0)),
]  # fmt: skip
