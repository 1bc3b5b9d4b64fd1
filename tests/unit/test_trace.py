"""The computation graph: values, partial derivatives, paths and their sum, against formulas and autograd."""

import json
import math
import re
from itertools import combinations
from xml.etree import ElementTree

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from typer.testing import CliRunner

from chainrule.anatomy.graph_layout import lay_out
from chainrule.anatomy.paths import LISTED
from chainrule.anatomy.trace import trace
from chainrule.cli import trace as verb
from chainrule.errors import ChainruleError, InputError

COURSE = "y - relu(w*x + b)", {"y": 5, "w": 2, "x": 1, "b": 1}
TWO_LAYERS = "sum(square(y - V @ relu(W @ x + b)))", {
    "x": [1, 2], "W": [[1, 2], [3, 4], [-1, -2]], "b": [0.1, 0.2, 0.3], "V": [[1, -1, 2]], "y": [1],
}  # fmt: skip


def numbers(traced):
    return {name: value.tolist() for name, value in traced.gradient.items()}


def agree(traced, rtol=1e-10):
    """Reverse accumulation, autograd, and the sum over the paths where all are listed."""
    for name, value in traced.gradient.items():
        torch.testing.assert_close(value, traced.autograd[name], rtol=rtol, atol=1e-14)
        if traced.counts[name] <= LISTED:
            parts = [path.product for path in traced.paths if path.input == name]
            assert len(parts) == traced.counts[name]
            torch.testing.assert_close(sum(parts, torch.zeros_like(value)), value, rtol=rtol, atol=1e-14)
    return traced


# The course's examples


def test_the_table_of_the_course():
    traced = agree(trace(COURSE[0], **COURSE[1]))
    assert [node.name for node in traced.nodes] == [f"w{n}" for n in range(1, 9)]
    assert [node.value.item() for node in traced.nodes] == [2, 1, 1, 5, 2, 3, 3, 2]
    assert [node.expression for node in traced.nodes] == [
        *"wxby", "w1 * w2", "w5 + w3", "relu(w6)", "w4 - w7",
    ]  # fmt: skip
    assert numbers(traced) == {"w": -1, "x": -2, "b": -1, "y": 1}
    assert {(edge.parent, edge.child): edge.partial.item() for edge in traced.edges} == {
        ("w1", "w5"): 1, ("w2", "w5"): 2, ("w5", "w6"): 1, ("w3", "w6"): 1, ("w6", "w7"): 1, ("w4", "w8"): 1,
        ("w7", "w8"): -1,
    }  # fmt: skip
    assert traced.nodes[0].dtype == torch.float64
    assert traced.value == 2
    assert traced.notes == ()


@pytest.mark.parametrize(("x", "value", "slope"), [(1, 2, -1), (2, 2.25, 0.75), (-0.7, None, None)])
def test_several_paths_add_up(x, value, slope):
    traced = agree(trace("x**2/x + 1/x**2", x=x))
    assert traced.counts == {"x": 3}
    assert [path.nodes for path in traced.paths] == [
        ("w1", "w2", "w3", "w6"), ("w1", "w3", "w6"), ("w1", "w4", "w5", "w6"),
    ]  # fmt: skip
    assert traced.gradient["x"].item() == pytest.approx(1 - 2 / x**3, rel=1e-14)
    if value:
        assert (traced.value, traced.gradient["x"]) == (value, slope)


@pytest.mark.parametrize("x", [-1.3, 0.4, 2.0])
def test_chain_of_two(x):
    assert trace("cos(x**2)", x=x).gradient["x"].item() == pytest.approx(-2 * x * math.sin(x * x), rel=1e-14)


@pytest.mark.parametrize("w", [0.7, -0.7])
def test_squared_error_of_one_neuron(w):
    x, y = 1.5, 0.2
    traced = agree(trace("0.5*(relu(x*w) - y)**2", x=x, w=w, y=y))
    z = x * w
    assert traced.gradient["w"].item() == pytest.approx((max(z, 0) - y) * (z > 0) * x, rel=1e-14)


def test_two_layers():
    x, h, o, y = 1.5, 0.7, 1.1, 0.2
    traced = agree(trace("0.5*(relu(relu(x*Wh)*Wo) - y)**2", x=x, Wh=h, Wo=o, y=y))
    error = x * h * o - y
    assert traced.gradient["Wo"].item() == pytest.approx(error * x * h, rel=1e-14)
    assert traced.gradient["Wh"].item() == pytest.approx(error * o * x, rel=1e-14)


def test_ten_layers_are_a_product_of_23_factors():
    text = "x"
    for layer in range(1, 11):
        text = f"relu({text}*a{layer})"
    weights = {f"a{layer}": 1 + layer / 20 for layer in range(1, 11)}
    traced = agree(trace(f"0.5*({text} - y)**2", x=1, y=0.5, **weights))
    (path,) = [path for path in traced.paths if path.input == "a1"]
    assert len(path.edges) == 23
    assert math.prod(edge.partial.item() for edge in path.edges) == pytest.approx(traced.gradient["a1"].item())
    out = math.prod(weights.values())
    assert traced.gradient["a1"].item() == pytest.approx((out - 0.5) * out / weights["a1"], rel=1e-12)


def test_four_layers_share_their_errors():
    weights, x, y = {"a": 0.5, "b": 2.0, "c": 1.5, "d": 0.8}, 3.0, 1.0
    traced = trace("0.5*square(relu(d*relu(c*relu(b*relu(a*x)))) - y)", **weights, x=x, y=y)
    hidden = [x]
    for weight in weights.values():
        hidden.append(max(weight * hidden[-1], 0.0))
    # The error of each layer is that of the next, times its weight and slope; all units are active, so slopes are 1.
    error, wanted = hidden[-1] - y, {}
    for layer, (name, weight) in reversed(list(enumerate(weights.items()))):
        wanted[name] = error * hidden[layer]
        error *= weight
    assert {name: float(traced.gradient[name]) for name in weights} == pytest.approx(wanted)
    # Each edge is there once, however many of the four paths go through it.
    assert len(traced.edges) == len({(edge.parent, edge.child) for edge in traced.edges})
    assert [traced.counts[name] for name in weights] == [1, 1, 1, 1]


def test_inactive_samples_of_a_batch_give_nothing():
    x, y = [1.0, -2.0, 3.0, -1.0], [1.0, 1.0, 2.0, 0.0]
    traced = agree(trace("mean(square(y - relu(w*x + b)))", x=x, y=y, w=2, b=0.5))
    active = [2 * u + 0.5 > 0 for u in x]
    slopes = [-2 / 4 * (v - (2 * u + 0.5)) * on for u, v, on in zip(x, y, active, strict=True)]
    assert traced.gradient["b"].item() == pytest.approx(sum(slopes))
    assert traced.gradient["w"].item() == pytest.approx(sum(s * u for s, u in zip(slopes, x, strict=True)))
    assert [bool(slope) for slope in traced.gradient["x"]] == active


def test_max_gives_to_the_larger():
    assert numbers(agree(trace("max(a, b)", a=3, b=2))) == {"a": 1, "b": 0}
    assert numbers(agree(trace("min(a, b, c)", a=3, b=2, c=1))) == {"a": 0, "b": 0, "c": 1}
    assert numbers(agree(trace("max(v)", v=[1, 4, 2]))) == {"v": [0, 1, 0]}


# Points without a derivative


@pytest.mark.parametrize(
    ("text", "values", "said"),
    [
        ("relu(x)", {"x": 0}, "torch takes 0 by w1"),
        ("abs(x)", {"x": 0}, "torch takes 0 by w1"),
        ("sqrt(x)", {"x": 0}, "torch takes inf by w1"),
        ("x**0.5", {"x": 0}, "torch takes inf by w1"),
        ("norm(x)", {"x": [0, 0]}, "torch takes 0"),
        ("max(a, b)", {"a": 1, "b": 1}, "torch takes 0.5 by w1, 0.5 by w2"),
        ("max(v)", {"v": [1, 1, 0]}, "torch takes 0 or 0.5 by w1"),
        ("sum(relu(v))", {"v": [0, 1, 0]}, "in 2 of 3 entries; torch takes 0 by w1"),
    ],
)
def test_kinks_are_noted(text, values, said):
    notes = trace(text, **values).notes
    assert "is not differentiable here" in notes[0]
    assert said in notes[0]


@pytest.mark.parametrize("text", ["relu(x)", "abs(x)", "sqrt(x)", "max(x, 2)", "x**2", "x**0.5"])
def test_elsewhere_there_is_no_note(text):
    assert trace(text, x=1).notes == ()


def test_what_is_not_finite_is_noted():
    assert "is not finite" in trace("log(x)", x=0).notes[0]


# Tensors and paths


def test_jacobians_have_a_shape_and_a_norm():
    traced = agree(trace(TWO_LAYERS[0], **TWO_LAYERS[1]))
    matrix = torch.tensor(TWO_LAYERS[1]["W"], dtype=torch.float64)
    edges = {(edge.parent, edge.child): edge for edge in traced.edges}
    assert edges["w1", "w6"].shape == (3, 3, 2)
    torch.testing.assert_close(edges["w2", "w6"].partial, matrix)
    assert edges["w2", "w6"].norm == pytest.approx(matrix.norm().item())


def test_partials_of_large_tensors_are_left_out():
    traced = agree(trace("sum(relu(x))", x=[0.5] * 300))
    assert [edge.partial is None for edge in traced.edges] == [True, False]
    assert any("not computed" in note for note in traced.notes)


def test_paths_are_counted_without_being_walked():
    def doubled(x):
        for _ in range(200):
            x = torch.sin(x) + torch.cos(x)
        return x

    traced = agree(trace(doubled, x=0.3), rtol=1e-10)
    assert traced.counts == {"x": 2**200}
    assert len(traced.paths) == LISTED
    assert f"{2**200 - LISTED:,} more paths" in traced.text()


def test_a_result_of_several_numbers():
    traced = agree(trace("w*x", w=2, x=[1, 2]))
    assert numbers(traced) == {"w": 3, "x": [2, 2]}
    assert "derivatives are those of their sum" in traced.notes[0]


def test_names_of_nodes_are_not_those_of_inputs():
    assert trace("w1*w2", w1=2, w2=3).nodes[0].name == "v1"


def test_a_name_alone():
    traced = agree(trace("x", x=2))
    assert (len(traced.nodes), traced.edges, numbers(traced)) == (1, (), {"x": 1})
    assert [path.nodes for path in traced.paths] == [()]


# Functions and modules


def test_a_function():
    traced = agree(trace(lambda w, x: F.cross_entropy((w @ x)[None], torch.tensor([1])), w=[[1, 2], [3, 4]], x=[1, -1]))
    assert [node.expression for node in traced.nodes[2:]] == [
        "w1 @ w2", "w3[None]", "cross_entropy(w4, constant[1])",
    ]  # fmt: skip


def test_operators_are_written_as_the_program_has_them():
    traced = agree(trace(lambda x: 1 - 2 / (-x) + 3**x - (x - 1) * x, x=2.0))
    said = [node.expression for node in traced.nodes]
    assert {"-w1", "2 / w2", "1 - w3", "3 ** w1", "w1 - 1"} <= set(said)


def test_a_module():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Dropout(0.5), nn.Linear(3, 1))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    traced = agree(trace(model, input=[[1, 2], [3, 5], [0, 1]]), rtol=1e-4)
    assert {node.expression for node in traced.nodes if node.is_input} == {"input", *dict(model.named_parameters())}
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert not any("another derivative" in note for note in traced.notes)


def test_views_branches_and_several_results():
    def program(x):
        low, high = x.reshape(2, 3).unbind(0)
        best, _ = high.view(3).max(0)
        return (low[1:] ** 2).sum() * best + torch.where(x > 2, x, 0).sum()

    traced = agree(trace(program, x=[1.0, 2, 3, 4, 5, 6]))
    assert len({node.name for node in traced.nodes}) == len(traced.nodes)


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


def test_what_torch_does_not_tell_is_one_node():
    traced = agree(trace(lambda x: Double.apply(x * 3) * x, x=2))
    assert [node.expression for node in traced.nodes] == ["x", "w1 * 3", "Double(w2)", "w3 * w1"]
    assert traced.counts == {"x": 2}
    assert agree(trace(lambda x: Double.apply(x), x=2)).gradient["x"] == 2


def test_where_the_derivative_stops():
    traced = agree(trace(lambda x: x.detach() * x, x=3))
    assert traced.gradient["x"] == 3
    assert "passes no derivative on" in traced.notes[0]
    traced = agree(trace(lambda x: x * 2 if x > 0 else x, x=3))
    assert "reads w1 > 0 as a plain value" in traced.notes[0]


def test_whole_numbers_and_unused_inputs():
    traced = trace(lambda x, label, spare: F.nll_loss(x[None], label), x=[1.0, 2], label=torch.tensor([1]), spare=1)
    agree(traced)
    assert numbers(traced) == {"x": [0, -1], "spare": 0}
    assert traced.counts["spare"] == 0
    assert "label has no derivative" in "".join(traced.notes)


def in_place(x):
    x += 1
    return x


def into_slots(x):
    out = torch.zeros(2, dtype=torch.float64)
    out[0] = x
    return out.sum()


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        (in_place, "__iadd__ changes a value in place|add_ changes a value in place"),
        (lambda x: x.exp_(), "exp_ changes a value in place \\(x\\)"),
        (lambda x: F.relu(x * 2, inplace=True), "relu changes a value in place"),
        (lambda x: torch.mul(x, 2, out=torch.tensor(0.0)), "mul changes a value in place"),
        (into_slots, "__setitem__ changes a value in place"),
        (lambda x: (x * x).backward(), "calls backward itself"),
        (lambda x: x.item(), "must give one tensor; it gave float"),
        (lambda x: (x, x), "must give one tensor; it gave tuple"),
        (lambda x: x > 0, "does not depend on the inputs"),
        (lambda x: torch.tensor(1.0), "does not depend on the inputs"),
        (lambda x: torch.complex(x, x).abs(), "is complex"),
        (3, "received int"),
    ],
)
def test_functions_that_are_refused(program, sentence):
    with pytest.raises(InputError, match=sentence):
        trace(program, x=2)


def test_functions_without_inputs():
    with pytest.raises(InputError, match="no inputs"):
        trace(lambda: 1)
    with pytest.raises(InputError, match="both a parameter"):
        trace(nn.Linear(1, 1), weight=2)


def test_errors_of_the_program_are_its_own():
    with pytest.raises(TypeError, match="unexpected keyword"):
        trace(lambda x: x, y=2)
    with pytest.raises(ZeroDivisionError):
        trace(lambda x: x * (1 / 0), x=2)


# Faces

GRAPHS = [
    COURSE, ("x**2/x + 1/x**2", {"x": 2}), TWO_LAYERS, ("x", {"x": 1}),
    ("softmax(a*b + c)@transpose(d) + max(a, 0)*b/(c + d)*exp(-a*d)",
     {"a": 1, "b": [1, 2, 3], "c": 2, "d": [0.1, 0.2, 0.3]}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "values"), GRAPHS)
def test_faces(text, values):
    traced = trace(text, **values)
    assert traced.text().startswith(text)
    assert json.loads(traced.to_json())["title"] == text
    lines = [line for line in traced.markdown().split("\n") if line.startswith("|")]
    assert {line.count("|") for line in lines} <= {3, 5}
    assert len(json.loads(traced.to_json())["nodes"]) == len(traced.nodes)


@pytest.mark.parametrize(("text", "values"), GRAPHS)
def test_nothing_in_the_picture_overlaps(text, values):
    svg = trace(text, **values).svg()
    assert svg == trace(text, **values).svg()
    root = ElementTree.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    width, height = float(root.get("width")), float(root.get("height"))
    boxes = []
    for item in root.iter():
        if item.tag == f"{space}rect" and item.get("rx"):
            x, y = float(item.get("x")), float(item.get("y"))
            boxes.append((x, y, x + float(item.get("width")), y + float(item.get("height"))))
        elif item.tag == f"{space}text" and item.get("class") == "l":
            half = len(item.text) * 7.3 / 2
            x, y = float(item.get("x")), float(item.get("y"))
            boxes.append((x - half, y - 12, x + half, y + 4))
    assert len(boxes) == svg.count(" rx=") + svg.count('class="l"')
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= width - 16
        assert 0 <= top < bottom <= height - 16
    for one, other in combinations(boxes, 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart, (one, other)
    assert "prefers-color-scheme:dark" in svg


def test_the_drawing_crosses_no_more_than_it_must():
    nodes = dict.fromkeys("abcdefgh", (40.0, 20.0))
    edges = dict.fromkeys([("a", "h"), ("b", "g"), ("c", "f"), ("d", "e")], (10.0, 10.0))
    layout = lay_out(nodes, edges)
    for (one, other), (left, right) in zip(combinations(edges, 2), combinations(edges.values(), 2), strict=True):
        before = layout.nodes[one[0]].y < layout.nodes[other[0]].y
        assert before == (layout.nodes[one[1]].y < layout.nodes[other[1]].y), (left, right)


def test_text_in_the_picture_is_escaped():
    svg = trace(lambda x: torch.where(x < 2, x, 0), x=1).svg()
    assert "where(w1 &lt; 2, w1, 0)" in svg


def test_save(tmp_path):
    traced = trace(COURSE[0], **COURSE[1])
    path = traced.save(tmp_path / "graph.svg")
    assert path.read_text(encoding="utf-8") == traced.svg()
    with pytest.raises(InputError, match="exists"):
        traced.save(path)
    with pytest.raises(InputError, match="must end in"):
        traced.save(tmp_path / "graph.png")


def test_large_graphs_are_not_drawn():
    def long(x):
        for _ in range(200):
            x = x + 1
        return x

    with pytest.raises(InputError, match="201 nodes"):
        trace(long, x=1).svg()


# The command


def run(*arguments):
    import typer

    app = typer.Typer()
    app.command()(verb.command)
    return CliRunner().invoke(app, list(arguments))


def test_command(tmp_path):
    values = ["y=5", "w=2", "x = 1", "b=1"]
    done = run(COURSE[0], *values)
    assert done.exit_code == 0, done.output
    assert re.search(r"^w8 +w4 - w7 +2 +1$", done.output, re.MULTILINE)
    assert json.loads(run(COURSE[0], *values, "--json").output)["gradient"] == {"w": -1, "x": -2, "b": -1, "y": 1}
    assert "| `w8` |" in run(COURSE[0], *values, "--markdown").output
    file = tmp_path / "graph.svg"
    assert run(COURSE[0], *values, "--svg", str(file)).exit_code == 0
    assert file.read_text(encoding="utf-8").startswith("<svg")
    assert isinstance(run(COURSE[0], *values, "--svg", str(file)).exception, InputError)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["x*2"], "'x' has no value"),
        (["x*2", "x"], "written as NAME=VALUE"),
        (["x*2", "x=y"], "x must be a number"),
        (["x*2", "x=1", "x=2"], "two values"),
        (["x*2", "x=1", "z=2"], "'z' does not occur"),
        (["x*2", "x=[1,[2]]"], "rows of equal length"),
        (["x.y", "x=1"], "is an attribute"),
        (["x*2", "x=1", "--json", "--markdown"], "both given"),
        (["x*2", "__import__('os')=1"], "written as NAME=VALUE"),
    ],
)
def test_command_with_wrong_input(arguments, sentence):
    done = run(*arguments)
    assert isinstance(done.exception, ChainruleError)
    assert re.search(sentence, str(done.exception))
