"""Formulas as text: what is read, what is refused and where, and that nothing in them is ever run."""

import builtins
import contextlib
import math
import os
import random
import string
import sys
import time

import pytest
import torch

from chainrule.anatomy.expression import DEEPEST, FUNCTIONS, LONGEST, MOST, parse
from chainrule.anatomy.trace import trace
from chainrule.anatomy.values import literal, value_of
from chainrule.errors import InputError


def value(text, **values):
    return parse(text)(**{name: value_of(name, given) for name, given in values.items()})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("y - relu(w*x + b)", 2),
        ("-x**2", -1),
        ("2**-x", 0.5),
        ("w ** 2 ** x", 4),
        ("(w + b)\n * y", 15),
        ("  -(-x)", 1),
        ("max(w, x, y, 0) - min(w, 3)", 3),
        ("exp(0)*x + sqrt(4)*0*x", 1),
        ("1e2*x + .5*x", 100.5),
        ("softplus(x)", math.log1p(math.e)),
        ("sigmoid(0*x)", 0.5),
    ],
)
def test_value(text, expected):
    values = {"w": 2, "x": 1, "b": 1, "y": 5}
    values = {name: given for name, given in values.items() if name in parse(text).names}
    assert value(text, **values).item() == pytest.approx(expected, rel=1e-15)


def test_tensors():
    matrix, vector = torch.rand(2, 3).double(), torch.rand(3).double()
    torch.testing.assert_close(value("W @ x", W=matrix, x=vector), matrix @ vector)
    torch.testing.assert_close(value("transpose(W) @ W", W=matrix), matrix.T @ matrix)
    torch.testing.assert_close(value("softmax(x)", x=vector), vector.softmax(0))
    torch.testing.assert_close(value("norm(W) + dot(x, x) + sum(W) + mean(x) + max(W) + min(x)", W=matrix, x=vector),
        matrix.norm() + vector @ vector + matrix.sum() + vector.mean() + matrix.max() + vector.min())  # fmt: skip


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function(name):
    _, least, _ = FUNCTIONS[name]
    names = "abc"[:least]
    traced = trace(f"sum({name}({', '.join(names)}))", **{letter: [0.3, 0.4] for letter in names})
    for letter in names:
        torch.testing.assert_close(traced.gradient[letter], traced.autograd[letter], rtol=1e-12, atol=0)


def test_names_are_in_the_order_of_their_use():
    assert parse("y - relu(w*x + b)").names == ("w", "x", "b", "y")
    assert parse("(ŷ - θ)").names == ("ŷ", "θ")
    assert parse(" (x) ").names == ("x",)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        (" \n ", "is empty"),
        ("x +", "'x \\+' cannot be read at its end"),
        ("(x", "was never closed"),
        ("2x", "cannot be read"),
        ("x.grad", "'x.grad' at character 1 is an attribute"),
        ("1 + x[0]", "'x\\[0\\]' at character 5 is a subscript"),
        ("ŷ + x[0]", "'x\\[0\\]' at character 5 is a subscript"),
        ("x < 2", "is a comparison"),
        ("x and y", "is and/or"),
        ("(x := 2)", "is an assignment"),
        ("x = 2", "cannot be read"),
        ("lambda: x", "is a lambda"),
        ("[x for x in y]", "is a comprehension"),
        ("sum(x for x in y)", "is a comprehension"),
        ("'x'", "is a text"),
        ("b'x'", "is a text"),
        ("f'{x}'", "is an f-string"),
        ("x if y else z", "is if/else"),
        ("2j*x", "is an imaginary number"),
        ("True*x", "is no number"),
        ("...", "is no number"),
        ("x // 2", "is an operator other than"),
        ("~x", "is a unary operator other than"),
        ("x % 2", "is an operator other than"),
        ("[x, y]", "is a list"),
        ("x, y", "is a tuple"),
        ("relu", "is a function and wants its argument"),
        ("relu + x", "is a function and wants its argument"),
        ("relu(x, y)", "has 2 arguments, but relu wants 1"),
        ("relu(x=y)", "has an argument by name"),
        ("sum(*x)", "is a star"),
        ("sgmoid(x)", "did you mean sigmoid\\?$"),
        ("eval(x)", "is no function that is known"),
        ("__import__('os')", "is no function that is known"),
        ("__import__ * x", "begins with two underscores"),
        ("(x)(y)", "is no function that is known"),
        ("sin(x)(y)", "is called, but only functions by name can be"),
        ("9**9**9", "has an exponent beyond 1000"),
        ("x**9**9", "has an exponent beyond 1000"),
        ("99.0**999 * x", "is no finite number"),
        ("1e999 * x", "is no finite number"),
        ("x / (1/0)", "is no finite number"),
        ("log(0) * x", "is no finite number"),
        ("9" * 3999, "is no finite number"),
        ("2 + 3", "has no name in it"),
        ("x # y", "cannot be read at character 3"),
        ("x; y", "cannot be read"),
        ("import os", "cannot be read"),
        ("x\0", "cannot be read"),
        ("\ud800", "cannot be read"),
        ("x²", "cannot be read"),
        ("await x", "is await"),
        ("yield", "cannot be read"),
        ("x" * 100_000, "has 100,000 characters"),
        ("(" * 2000 + "x" + ")" * 2000, "cannot be read|characters"),
        ("(" * 150 + "-x" + ")" * 150, "cannot be read|no value"),
        ("-" * 3000 + "x", "too deep"),
        ("**".join("x" * 1000), "too deep"),
        ("+".join("x" * 1500), "too deep"),
        ("relu(" * 180 + "x" + ")" * 180, "too deep"),
        ("[" * 1900 + "]" * 1900, "cannot be read"),
    ],
)
def test_refused(text, sentence):
    start = time.perf_counter()
    with pytest.raises(InputError, match=sentence) as error:
        trace(text)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400
    assert str(error.value)[-1] in ".?"
    assert time.perf_counter() - start < 2


def test_limits_are_where_they_are_said_to_be():
    parse("-" * (DEEPEST - 1) + "x")
    with pytest.raises(InputError, match="too deep"):
        parse("-" * DEEPEST + "x")
    parse("x" * LONGEST)
    balanced = ["x"] * (MOST + 2)
    while len(balanced) > 1:
        balanced = [f"({'+'.join(balanced[at : at + 2])})" if at + 1 < len(balanced) else balanced[at]
                    for at in range(0, len(balanced), 2)]  # fmt: skip
    with pytest.raises(InputError, match="more than 500 operations"):
        parse(balanced[0])


@pytest.mark.parametrize(
    ("text", "values", "sentence"),
    [
        ("w*x", {"w": 1}, "'x' has no value; give it one, as x=2"),
        ("w*w", {"w": 1, "x": 2}, "'x' does not occur in 'w\\*w'"),
        ("w*x", {"w": [1, 2], "x": [1, 2, 3]}, "'w\\*x' does not go with shapes \\[2\\] and \\[3\\]"),
        ("1 + w@x", {"w": 1, "x": 2}, "'w@x' does not go with shapes \\[\\] and \\[\\]"),
        ("dot(w, x)", {"w": [1, 2], "x": [1, 2, 3]}, "'dot\\(w, x\\)' does not go"),
        ("x", {"x": "2"}, "x must be a finite number, a list or a tensor; received '2'"),
        ("x", {"x": None}, "x must be a finite number"),
        ("x", {"x": True}, "x must be a finite number"),
        ("x", {"x": math.nan}, "x must be a finite number"),
        ("x", {"x": 10**400}, "x must be"),
        ("x", {"x": [1, [2]]}, "x must be a number or rows of equal length"),
        ("x", {"x": []}, "x is an empty list"),
        ("x", {"x": torch.tensor(1j)}, "x is complex"),
        ("a*b*c", {"a": torch.ones(200, 1, 1), "b": torch.ones(200, 1), "c": torch.ones(200)}, "8,000,000 numbers"),
    ],
)
def test_values_that_do_not_fit(text, values, sentence):
    with pytest.raises(InputError, match=sentence) as error:
        trace(text, **values)
    assert "\n" not in str(error.value)


def test_values_nested_without_end():
    endless = []
    endless.append(endless)
    with pytest.raises(InputError):
        trace("x", x=endless)


@pytest.mark.parametrize(
    ("text", "expected"), [("2", 2), (" -1e-3", -1e-3), ("[1, 2.5]", [1, 2.5]), ("[[1],[2]]", [[1], [2]])]
)
def test_literal(text, expected):
    assert literal("x", text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "x", "'2'", "None", "__import__('os')", "2*3", "[1", "1;2", "{1}", "lambda: 1", "(" * 9000, "1 2"],
)
def test_what_is_no_literal(text):
    with pytest.raises(InputError):
        value_of("x", literal("x", text))


# Anything at all is read or refused, and nothing is run.

VALID = [
    "y - relu(w*x + b)", "x**2/x + 1/x**2", "cos(x**2)", "0.5*(relu(w*x) - y)**2", "max(0, 1 - y*x)", "-x @ w",
    "softmax(x) / norm(x)", "mean(square(y - x))", "log(1 + exp(-x))", "sum(transpose(W) @ x)",
]  # fmt: skip
GRAMMAR = [*"wxyb+-*/@(),", "**", "relu(", "max(", "sum(", "dot(", "softmax(", "0", "1", "2.5", "1e3", "9**", " "]
PYTHON = [
    "canary()", "canary", "__import__('os').system('true')", "eval('canary()')", "exec(", "open('x','w')", "lambda:",
    "[", "]", "{", "}", ":", ":=", "=", "==", "<", ".", "'", '"', "f'{canary()}'", "\\", "\n", "#", "for", "in", "if",
    "else", "await", "yield", "None", "True", "%", "//", "~", "!", "x.__class__", "().__class__", "9**9**9", "0x",
    "1_0", "not", "and", "is", "2j", "...", ";", "`", "$", "?", "\0", "\t", "\x0c", "é", "²", "\ud800",
    "print(canary())",
]  # fmt: skip


def strings(count):
    draw = random.Random(count)
    for at in range(count):
        kind = at % 5
        if kind == 0:
            yield "".join(draw.choices(string.printable, k=draw.randrange(1, 40)))
        elif kind == 1:
            yield "".join(draw.choices(GRAMMAR, k=draw.randrange(1, 14)))
        elif kind == 2:
            yield "".join(draw.choices(GRAMMAR + PYTHON, k=draw.randrange(1, 12)))
        else:
            text = list(draw.choice(VALID))
            for _ in range(draw.randrange(3)):
                place = draw.randrange(len(text))
                text[place : place + draw.randrange(3)] = draw.choice([*GRAMMAR, *PYTHON, *string.punctuation])
            yield "".join(text)


def survives(count, monkeypatch):
    ran = []
    monkeypatch.setattr(builtins, "canary", lambda *_: ran.append("canary") or 1.0, raising=False)
    monkeypatch.setattr(os, "system", lambda *_: ran.append("system"))
    draw, read = random.Random(0), 0
    for text in strings(count):
        start = time.perf_counter()
        with contextlib.suppress(InputError):
            formula = parse(text)
            values = {name: draw.choice([0, 1, -2.5, [1, 2], [0, 0], [[1, 2], [3, 4]]]) for name in formula.names}
            traced = trace(text, **values)
            assert set(traced.gradient) == set(formula.names), text
            read += 1
        assert time.perf_counter() - start < 5, text
        assert not ran, text
    return read


def test_any_text_is_read_or_refused(monkeypatch):
    assert survives(2_000, monkeypatch) > 300


@pytest.mark.slow
def test_any_of_many_texts_is_read_or_refused(monkeypatch):
    assert survives(100_000, monkeypatch) > 12_000


def test_the_limit_of_recursion_is_met_with_a_sentence():
    def deep(left):
        return deep(left - 1) if left else refused()

    def refused():
        with pytest.raises(InputError):
            parse("(" * 90 + "-" * 3000 + "x" + ")" * 90)
        return True

    assert deep(sys.getrecursionlimit() // 3)
