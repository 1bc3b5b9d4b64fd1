"""Holm's correction against statsmodels."""

import numpy as np
import pytest

from chainrule.study.statistics import holm

multitest = pytest.importorskip("statsmodels.stats.multitest")


@pytest.mark.parametrize("size", [1, 2, 7, 40])
def test_holm(size) -> None:
    random = np.random.default_rng(size)
    p = random.uniform(0, 1, size) ** 3
    p[random.uniform(size=size) < 0.2] = p[0]  # some ties
    reject, adjusted, *_ = multitest.multipletests(p, alpha=0.05, method="holm")
    found = np.array(holm(p.tolist()), dtype=float)
    assert found == pytest.approx(adjusted)
    assert ((found <= 0.05) == reject).all()
