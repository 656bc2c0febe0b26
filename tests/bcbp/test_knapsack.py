"""Choices under a budget are the best ones: the same as those of trying every combination."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcbp.knapsack import Menu, OverBudgetError, choose, naive_choose

AMOUNTS = st.one_of(st.integers(0, 6).map(float), st.floats(0, 10))


@st.composite
def menus(draw: st.DrawFn) -> list[Menu]:
    """Up to five menus with up to four options, equal and useless ones among them."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    amounts = [draw(st.lists(AMOUNTS, min_size=2 * size, max_size=2 * size)) for size in sizes]
    return [Menu(np.array(row[::2]), np.array(row[1::2])) for row in amounts]


@given(given_menus=menus(), share=st.floats(0, 1.1))
def test_the_choice_is_as_good_as_the_best_of_all_combinations(given_menus: list[Menu], share: float) -> None:
    budget = share * sum(menu.costs.max() for menu in given_menus)
    try:
        expected = naive_choose(given_menus, budget)
    except OverBudgetError:
        with pytest.raises(OverBudgetError, match="expected a budget of at least"):
            choose(given_menus, 0.999 * budget - 1e-3)
        return
    found = choose(given_menus, budget)
    assert found.loss <= expected.loss + 1e-9
    assert found.cost <= budget * (1 + 1e-8) + 1e-12
    assert found.gap == 0
    picked = list(zip(given_menus, found.picks, strict=True))
    assert found.cost == pytest.approx(sum(menu.costs[pick] for menu, pick in picked))
    assert found.loss == pytest.approx(sum(menu.losses[pick] for menu, pick in picked))


@given(given_menus=menus(), first=st.floats(0, 1.1), second=st.floats(0, 1.1))
def test_a_larger_budget_never_loses_more(given_menus: list[Menu], first: float, second: float) -> None:
    least, most = (sum(end(menu.costs) for menu in given_menus) for end in (np.min, np.max))
    small, large = sorted(least + share * (most - least) for share in (first, second))
    assert choose(given_menus, large).loss <= choose(given_menus, small).loss + 1e-9


def network(layers: int, options: int) -> list[Menu]:
    """Layers of different size with falling times and rising losses, as networks have them."""
    generator = np.random.default_rng(0)
    costs = np.sort(generator.random((layers, options)), 1)[:, ::-1] * generator.lognormal(0, 1, (layers, 1))
    losses = np.sort(generator.random((layers, options)) ** 3, 1)
    losses[:, 0] = 0
    return [Menu(cost, loss) for cost, loss in zip(costs, losses, strict=True)]


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.9])
def test_fifty_three_layers_are_solved_exactly(share: float) -> None:
    layers = network(53, 5)
    least, most = (sum(end(menu.costs) for menu in layers) for end in (np.min, np.max))
    found = choose(layers, least + share * (most - least))
    assert found.gap == 0


def test_a_search_cut_short_says_how_far_from_the_best_it_may_be() -> None:
    layers = network(6, 4)
    budget = 0.6 * sum(menu.costs.max() for menu in layers)
    best, found = naive_choose(layers, budget), choose(layers, budget, most_sums=1)
    assert found.cost <= budget
    assert found.bound <= best.loss <= found.loss
    assert found.gap >= found.loss - best.loss


def test_a_budget_below_the_cheapest_options_is_refused_with_what_they_cost() -> None:
    with pytest.raises(OverBudgetError, match="expected a budget of at least 3, got 2"):
        choose([Menu(np.array([3.0, 4.0]), np.array([1.0, 0.0]))], 2.0)
    with pytest.raises(OverBudgetError, match="at least 3"):
        naive_choose([Menu(np.array([3.0, 4.0]), np.array([1.0, 0.0]))], 2.0)


def test_without_menus_there_is_nothing_to_choose() -> None:
    assert choose([], 1.0).picks == ()
