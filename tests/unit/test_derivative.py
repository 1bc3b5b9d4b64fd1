"""Derivatives: the identities of matrix calculus in both layouts, and what is refused."""

import pytest
import torch

from chainrule.anatomy.derivative import derivative
from chainrule.errors import InputError

M, N, P = 3, 4, 5  # sizes that differ, so that no transpose goes unseen


def random(*shape):
    return torch.randn(shape, dtype=torch.float64)


def close(one, other):
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-9, atol=1e-9)


def invertible(size):
    return random(size, size) + 3 * size * torch.eye(size, dtype=torch.float64)


def linear():
    a, x = random(M, N), random(N)
    return lambda x: a @ x, x, a


def linear_from_the_left():
    a, x = random(M, N), random(M)
    return lambda x: x @ a, x, a.T


def quadratic():
    a, x = random(N, N), random(N)
    return lambda x: x @ a @ x, x, (x @ (a + a.T))[None]


def linear_of_a_function():
    a, z = random(M, N), random(P)
    inner = random(N, P)
    return lambda z: a @ torch.sin(inner @ z), z, a @ derivative(lambda z: torch.sin(inner @ z), z, layout="numerator")


def product_of_functions():
    b, c, z = random(N, P), random(N, P), random(P)
    x, y = lambda z: torch.tanh(b @ z), lambda z: torch.exp(c @ z / 3)
    dx, dy = (derivative(part, z, layout="numerator") for part in (x, y))
    return lambda z: y(z) @ x(z), z, (x(z) @ dy + y(z) @ dx)[None]


def bilinear_by_matrix():
    a, b, x = random(M), random(N), random(M, N)
    return lambda x: a @ x @ b, x, torch.outer(b, a)


def trace():
    a, x = random(N, M), random(M, N)
    return lambda x: torch.trace(a @ x), x, a


def log_determinant():
    x = invertible(N)
    return torch.logdet, x, torch.linalg.inv(x)


def square_length():
    x = random(N)
    return lambda x: x @ x, x, 2 * x[None]


def chain_rule():
    a, b, x = random(M, N), random(P, M), random(N)
    inner, outer = lambda x: torch.tanh(a @ x), lambda y: torch.sigmoid(b @ y)
    steps = derivative(outer, inner(x), layout="numerator") @ derivative(inner, x, layout="numerator")
    return lambda x: outer(inner(x)), x, steps


def curve():
    a, t = random(M), random()
    return lambda t: torch.sin(a * t), t, (a * torch.cos(a * t))[:, None]


def matrix_by_scalar():
    a, t = random(M, N), random()
    return lambda t: torch.exp(a * t), t, a * torch.exp(a * t)


def inverse_by_scalar():
    a, b, t = invertible(N), random(N, N), random()
    inverse = torch.linalg.inv(a + t * b)
    return lambda t: torch.linalg.inv(a + t * b), t, -inverse @ b @ inverse


IDENTITIES = [
    linear,
    linear_from_the_left,
    quadratic,
    linear_of_a_function,
    product_of_functions,
    bilinear_by_matrix,
    trace,
    log_determinant,
    square_length,
    chain_rule,
    curve,
    matrix_by_scalar,
    inverse_by_scalar,
]


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: identity.__name__)
@pytest.mark.parametrize("seed", range(5))
def test_identities_in_both_layouts(identity, seed):
    torch.manual_seed(seed)
    function, argument, wanted = identity()
    assert close(derivative(function, argument, layout="numerator"), wanted)
    gradient = function(argument).dim() == 0 and argument.dim() == 1
    assert close(derivative(function, argument), wanted[0] if gradient else wanted.T)


@pytest.mark.parametrize(
    ("output", "argument", "numerator", "denominator"),
    [
        ((), (), (), ()),
        ((), (4,), (1, 4), (4,)),
        ((), (4, 1), (1, 4), (4, 1)),
        ((), (4, 5), (5, 4), (4, 5)),
        ((3,), (), (3, 1), (1, 3)),
        ((3,), (4,), (3, 4), (4, 3)),
        ((1,), (4,), (1, 4), (4, 1)),
        ((3,), (1,), (3, 1), (1, 3)),
        ((3, 2), (), (3, 2), (2, 3)),
    ],
)
def test_shapes(output, argument, numerator, denominator):
    def function(x):
        return x.sum() * torch.ones(output)

    x = torch.rand(argument)
    assert derivative(function, x, layout="numerator").shape == numerator
    assert derivative(function, x).shape == denominator


def test_gradient_of_a_scalar_has_any_shape():
    x = random(2, 3, 4)
    assert close(derivative(lambda x: x.pow(3).sum(), x), 3 * x**2)
    with pytest.raises(InputError, match="layout='denominator'"):
        derivative(torch.sum, x, layout="numerator")
    assert derivative(lambda t: t * x, random(), layout="numerator").equal(x)
    with pytest.raises(InputError, match="layout='numerator'"):
        derivative(lambda t: t * x, random())


@pytest.mark.parametrize("layout", ["numerator", "denominator"])
def test_hessian(layout):
    a, x = random(N, N), random(N)
    assert close(derivative(lambda x: x @ a @ x, x, order=2, layout=layout), a + a.T)
    smooth = derivative(lambda x: torch.logsumexp(a @ x, 0) * torch.sin(x).prod(), x, order=2, layout=layout)
    assert close(smooth, smooth.T)
    assert close(derivative(torch.sin, x[0], order=2, layout=layout), -torch.sin(x[0]))
    shape = (N, 1) if layout == "numerator" else (1, N)
    assert derivative(lambda t: a[0] * t**2, x[0], order=2, layout=layout).equal(2 * a[0].reshape(shape))


def test_gradient_is_orthogonal_to_level_sets_and_ascends_steepest():
    x = random(2)
    gradient = derivative(lambda x: x[0] ** 2 + 3 * x[1] ** 2, x)
    # The level set is an ellipse, (r cos t, r sin t / sqrt 3).
    t = torch.atan2(x[1] * 3**0.5, x[0])
    tangent = torch.stack([-torch.sin(t), torch.cos(t) / 3**0.5])
    assert abs(gradient @ tangent) < 1e-9
    turns = torch.arange(0, 2 * torch.pi, 1e-3, dtype=torch.float64)
    directions = torch.stack([turns.cos(), turns.sin()], 1)
    slopes = directions @ gradient
    assert slopes.max() <= gradient.norm() * (1 + 1e-12)
    assert torch.allclose(directions[slopes.argmax()], gradient / gradient.norm(), atol=1e-3)


def test_one_argument_of_several():
    x, y, labels = random(N), random(N), torch.tensor(2)
    assert close(derivative(lambda x, y: x @ y**2, x, y, wrt=1), 2 * x * y)
    loss = derivative(lambda z, target: torch.nn.functional.cross_entropy(z[None], target[None]), x, labels)
    assert close(loss, x.softmax(0) - torch.nn.functional.one_hot(labels, N))


def test_agrees_with_autograd_for_a_network():
    network = torch.nn.Sequential(torch.nn.Linear(N, 6), torch.nn.Tanh(), torch.nn.Linear(6, M)).double()
    x = random(N)
    wanted = torch.autograd.functional.jacobian(network, x)
    assert close(derivative(network, x, layout="numerator").detach(), wanted)
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("function", "argument", "options", "says"),
    [
        (torch.sum, torch.ones(3), {"layout": "rows"}, "There is no layout 'rows'"),
        (torch.sum, torch.ones(3), {"order": 3}, "order 1 or 2; received 3"),
        (torch.sum, torch.ones(3, dtype=torch.int64), {}, r"Argument 0 is of torch.int64.* x.double\(\)"),
        (torch.sum, 1.0, {}, r"Argument 0 is float; write torch.tensor"),
        (torch.sum, torch.ones(3), {"wrt": 1}, "received 1 beside 1 argument"),
        (torch.sum, torch.ones(3), {"wrt": "x"}, "received 'x'"),
        (torch.inverse, torch.eye(3), {}, r"a matrix .* by a matrix .*; write it by vectors, lambda v: f\(v.reshape"),
        (torch.diag, torch.ones(3), {}, r"a matrix of shape \(3, 3\) by a vector .*\.flatten\(\)"),
        (torch.diag, torch.eye(3), {}, "a vector .* by a matrix"),
        (torch.sin, torch.ones(3), {"order": 2}, r"one output at a time, lambda x: f\(x\)\[i\]"),
        (torch.sum, torch.eye(3), {"order": 2}, r"by the vector, lambda v: f\(v.reshape\(\(3, 3\)\)\) at x.flatten"),
        (lambda x: (x, x), torch.ones(3), {}, "it gave tuple"),
        (torch.argmax, torch.ones(3), {}, "it gave a tensor of torch.int64"),
    ],
)
def test_refusals(function, argument, options, says):
    with pytest.raises(InputError, match=says):
        derivative(function, argument, **options)


def test_what_a_refusal_advises_works():
    x = invertible(3)
    whole = derivative(lambda v: torch.inverse(v.reshape((3, 3))).flatten(), x.flatten(), layout="numerator")
    inverse = torch.inverse(x).contiguous()
    assert close(whole, -torch.kron(inverse, inverse.T.contiguous()))
    assert derivative(lambda v: v.reshape((3, 3)).pow(2).sum(), x.flatten(), order=2).equal(2 * torch.eye(9).double())
