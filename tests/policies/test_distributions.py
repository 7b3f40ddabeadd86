"""Distributions agree with torch's own, with their samples, and with what the env takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import Beta, Categorical, Dirichlet, Independent, Normal, TransformedDistribution
from torch.distributions import kl_divergence as torch_kl
from torch.distributions.transforms import AffineTransform, TanhTransform
from torch.nn.functional import softplus

from policies.distributions import (
    FLAT,
    LONG,
    RULED_OUT,
    SHORT,
    ActionDistribution,
    CashDirichlet,
    DirectionSize,
    PerAssetCategorical,
    SquashedGaussian,
    rule_out,
    rule_out_as,
)

A = 3
SCORES = {"categorical": (A, 4), "direction_size": (A, 5), "squashed_gaussian": (A, 2), "dirichlet": (A + 1,)}


def scores_of(kind: str, *rows: int, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.randn(*rows, *SCORES[kind], dtype=torch.float64)


def build(kind: str, scores: torch.Tensor) -> ActionDistribution:
    if kind == "squashed_gaussian":
        return SquashedGaussian(scores, low=-1.0, high=1.0)
    classes = {
        "categorical": PerAssetCategorical,
        "direction_size": DirectionSize,
        "dirichlet": CashDirichlet,
    }
    return classes[kind](scores)


def many(kind: str, num_draws: int, seed: int = 0) -> tuple[ActionDistribution, torch.Tensor]:
    """One distribution, repeated, and a draw from each."""
    scores = scores_of(kind, seed=seed)
    repeated = build(kind, scores.expand(num_draws, *scores.shape))
    return repeated, repeated.draw(np.random.default_rng(seed))


def test_categoricals_are_those_of_torch():
    scores, others = scores_of("categorical", 5), scores_of("categorical", 5, seed=1)
    ours, theirs = build("categorical", scores), Independent(Categorical(logits=scores), 1)
    actions = ours.draw(np.random.default_rng(0))
    torch.testing.assert_close(ours.logp(actions), theirs.log_prob(actions))
    torch.testing.assert_close(ours.entropy(), theirs.entropy())
    expected = torch_kl(theirs, Independent(Categorical(logits=others), 1))
    torch.testing.assert_close(ours.kl(build("categorical", others)), expected)


def test_uniforms_choose_by_the_distribution_function():
    # Probabilities 0.5, 0.25, 0.25: the function steps at 0.5 and 0.75.
    one = PerAssetCategorical(torch.tensor([[0.5, 0.25, 0.25]]).log())
    for uniform, choice in ((0.0, 0), (0.49, 0), (0.5, 1), (0.74, 1), (0.76, 2), (0.999999, 2)):
        assert one.sample_from(torch.tensor([uniform])).item() == choice


@pytest.mark.parametrize("choice", [0, 1, 2])
def test_what_is_ruled_out_is_never_drawn(choice):
    random = np.random.default_rng(choice)
    scores = torch.from_numpy(random.normal(size=(4000, 1, 3)).astype(np.float32))
    scores[..., choice] = RULED_OUT
    for uniform in (0.0, 0.5, 1.0 - 2.0**-24):  # the least and the greatest that a generator gives
        drawn = PerAssetCategorical(scores).sample_from(torch.full((4000, 1), uniform))
        assert not (drawn == choice).any()


def test_draws_are_as_frequent_as_their_probability():
    scores = torch.tensor([[0.3, -1.2, 0.8, 0.1]]).expand(200_000, -1)
    drawn = PerAssetCategorical(scores).draw(np.random.default_rng(1))
    found = torch.bincount(drawn, minlength=4) / len(drawn)
    torch.testing.assert_close(found, scores[0].softmax(-1), atol=4e-3, rtol=0)


def test_the_likeliest_choice_wins_and_ties_go_to_the_lowest():
    scores = torch.tensor([[0.0, 2.0, 1.0], [1.0, 1.0, 1.0]])
    assert PerAssetCategorical(scores).deterministic().tolist() == [1, 0]


def test_scalar_categoricals_have_no_asset_axis():
    scores = torch.zeros(6, 1, 2)
    one = PerAssetCategorical(scores, scalar=True)
    actions = one.draw(np.random.default_rng(0))
    assert actions.shape == one.deterministic().shape == (6,)
    torch.testing.assert_close(one.logp(actions), torch.full((6,), 0.5).log())


def test_a_flat_action_has_the_probability_of_flat_and_no_size():
    scores = scores_of("direction_size", 4)
    ours = build("direction_size", scores)
    flat = torch.zeros(4, A, 2, dtype=torch.float64)
    flat[..., 0] = FLAT
    expected = torch.log_softmax(scores[..., :3], -1)[..., FLAT].sum(-1)
    torch.testing.assert_close(ours.logp(flat), expected)


def test_direction_and_size_multiply():
    scores = scores_of("direction_size", 4)
    directions = torch.log_softmax(scores[..., :3], -1)
    sizes = Beta(1.0 + scores[..., 3].exp(), 1.0 + scores[..., 4].exp())
    action = torch.stack([torch.full((4, A), float(LONG)), torch.full((4, A), 0.3)], -1).double()
    expected = (directions[..., LONG] + sizes.log_prob(torch.tensor(0.3))).sum(-1)
    torch.testing.assert_close(build("direction_size", scores).logp(action), expected, rtol=1e-6, atol=1e-6)


def test_the_squashed_gaussian_is_that_of_torch():
    scores, others = scores_of("squashed_gaussian", 5), scores_of("squashed_gaussian", 5, seed=1)
    ours = SquashedGaussian(scores, low=0.0, high=1.0)
    normal = Normal(scores[..., 0], softplus(scores[..., 1]) + 0.01)
    theirs = TransformedDistribution(normal, [TanhTransform(), AffineTransform(0.5, 0.5)])
    action = torch.full((5, A), 0.8, dtype=torch.float64)
    torch.testing.assert_close(ours.logp(action), theirs.log_prob(action).sum(-1))
    other = Normal(others[..., 0], softplus(others[..., 1]) + 0.01)
    expected = torch_kl(normal, other).sum(-1)
    torch.testing.assert_close(ours.kl(SquashedGaussian(others, low=0.0, high=1.0)), expected)


def test_the_dirichlet_with_cash_is_that_of_torch():
    scores, others = scores_of("dirichlet", 5), scores_of("dirichlet", 5, seed=1)
    ours, theirs = build("dirichlet", scores), Dirichlet(1.0 + scores.exp())
    weights = torch.tensor([0.2, 0.3, 0.1], dtype=torch.float64).expand(5, A)
    shares = torch.tensor([0.2, 0.3, 0.1, 0.4], dtype=torch.float64)
    torch.testing.assert_close(ours.logp(weights), theirs.log_prob(shares))
    torch.testing.assert_close(ours.entropy(), theirs.entropy())
    torch.testing.assert_close(
        ours.kl(build("dirichlet", others)), torch_kl(theirs, Dirichlet(1.0 + others.exp()))
    )


@pytest.mark.parametrize("kind", SCORES)
def test_entropy_is_the_mean_surprise_of_draws(kind):
    distribution, actions = many(kind, 60_000)
    surprise = -distribution.logp(actions.double())
    standard_error = float(surprise.std()) / np.sqrt(len(surprise))
    assert float(surprise.mean() - distribution.entropy()[0]) == pytest.approx(0.0, abs=4 * standard_error)


@pytest.mark.parametrize("kind", SCORES)
def test_the_divergence_is_the_mean_log_ratio_of_draws(kind):
    distribution, actions = many(kind, 60_000)
    other = build(kind, 0.5 * scores_of(kind, seed=1).expand(60_000, *SCORES[kind]))
    ratio = distribution.logp(actions.double()) - other.logp(actions.double())
    standard_error = float(ratio.std()) / np.sqrt(len(ratio))
    assert float(ratio.mean() - distribution.kl(other)[0]) == pytest.approx(0.0, abs=4 * standard_error)
    assert distribution.kl(distribution).abs().max() < 1e-12


def test_choices_are_drawn_as_often_as_they_are_likely():
    categorical, actions = many("categorical", 60_000)
    frequencies = torch.stack([(actions == choice).double().mean(0) for choice in range(4)], -1)
    # Four standard errors of a frequency are at most 4 sqrt(0.25 / 60,000) = 0.0082.
    torch.testing.assert_close(frequencies, categorical.log_probs[0].exp(), rtol=0, atol=0.0082)


@pytest.mark.parametrize("kind", ["direction_size", "squashed_gaussian", "dirichlet"])
def test_continuous_actions_stay_inside_what_the_env_takes(kind):
    distribution, actions = many(kind, 2_000)
    assert actions.dtype == torch.float32 or kind == "squashed_gaussian"
    assert torch.isfinite(distribution.logp(actions.double())).all()
    if kind == "direction_size":
        assert set(actions[..., 0].unique().tolist()) == {SHORT, FLAT, LONG}
        assert ((actions[..., 1] == 0.0) == (actions[..., 0] == FLAT)).all()
        assert actions[..., 1].max() < 1.0
    elif kind == "squashed_gaussian":
        assert actions.abs().max() < 1.0
    else:
        assert actions.min() >= 0.0
        assert actions.sum(-1).max() <= 1.0 + 1e-6


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("size", [30.0, 300.0])
def test_extreme_scores_give_finite_numbers_and_gradients(kind, size):
    scores = (size * torch.sign(scores_of(kind, 64))).float().requires_grad_()
    distribution = build(kind, scores)
    actions = distribution.draw(np.random.default_rng(0))
    total = (distribution.logp(actions) + distribution.entropy()).sum()
    (gradient,) = torch.autograd.grad(total, scores)
    assert torch.isfinite(total)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("kind", SCORES)
def test_equal_generators_draw_equal_actions(kind):
    distribution = build(kind, scores_of(kind, 8))
    first, second, other = (distribution.draw(np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_the_centre_is_the_mean_of_draws_of_sizes_and_shares():
    for kind, column in (("direction_size", 1), ("dirichlet", slice(None))):
        distribution, actions = many(kind, 60_000)
        centre = distribution.deterministic()[0]
        if kind == "direction_size":
            long = actions[..., 0] == centre[..., 0]
            means = torch.stack([actions[long[:, a], a, column].mean() for a in range(A)])
            expected = torch.where(centre[..., 0] == FLAT, means, centre[..., 1].float())
            torch.testing.assert_close(means, expected, rtol=0, atol=0.01)
        else:
            torch.testing.assert_close(actions.mean(0), centre.float(), rtol=0, atol=0.01)


def test_the_deterministic_weight_is_the_median_of_draws():
    distribution, actions = many("squashed_gaussian", 60_000)
    torch.testing.assert_close(
        actions.median(0).values.float(), distribution.deterministic()[0].float(), rtol=0, atol=0.02
    )


def test_what_is_ruled_out_is_never_drawn_and_the_rest_keeps_its_proportions():
    # Probabilities 0.5, 0.25, 0.25; without the first choice 0.5 each is left, an entropy of log 2.
    scores = torch.tensor([0.5, 0.25, 0.25]).log().expand(1_000, 3)
    allowed = torch.tensor([[False, True, True]]).expand(1_000, 1, 3)
    masked = rule_out(scores, allowed)
    distribution = PerAssetCategorical(masked.unflatten(-1, (1, 3)))
    actions = distribution.draw(np.random.default_rng(0))
    assert set(actions.unique().tolist()) == {1, 2}
    torch.testing.assert_close(distribution.log_probs[0, 0, 1:].exp(), torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(distribution.entropy()[0], torch.tensor(2.0).log())
    assert distribution.deterministic().min() == 1


def test_later_scores_rule_out_what_earlier_ones_did():
    allowed = torch.tensor([[[True, False, True], [True, True, True]]])
    earlier, later = rule_out(torch.randn(1, 6), allowed), torch.randn(1, 6, requires_grad=True)
    torch.testing.assert_close(rule_out_as(later, earlier), rule_out(later, allowed))
    old, new = (PerAssetCategorical(s.unflatten(-1, (2, 3))) for s in (earlier, rule_out_as(later, earlier)))
    total = (new.entropy() + old.kl(new) + new.logp(torch.tensor([[0, 1]]))).sum()
    (gradient,) = torch.autograd.grad(total, later)
    assert torch.isfinite(gradient).all()
    assert gradient[0, 1] == 0.0


def test_parameters_are_what_a_distribution_is_drawn_from():
    _, drawn = many("categorical", 100_000)
    told = build("categorical", scores_of("categorical")).parameters()
    shares = torch.stack([(drawn == choice).double().mean(0) for choice in range(4)])
    torch.testing.assert_close(torch.stack(list(told.values())), shares, atol=0.01, rtol=0.0)
    assert list(told) == ["0", "1", "2", "3"]

    _, drawn = many("squashed_gaussian", 100_000)
    told = build("squashed_gaussian", scores_of("squashed_gaussian")).parameters()
    # One standard deviation to each side: the 15.87th and 84.13th percentile.
    levels = torch.quantile(drawn.double(), torch.tensor([0.1587, 0.5, 0.8413], dtype=torch.float64), dim=0)
    torch.testing.assert_close(torch.stack(list(told.values())), levels, atol=0.02, rtol=0.0)

    _, drawn = many("dirichlet", 100_000)
    told = build("dirichlet", scores_of("dirichlet")).parameters()
    torch.testing.assert_close(told["weight, mean"], drawn.double().mean(0), atol=0.01, rtol=0.0)
    torch.testing.assert_close(told["weight, deviation"], drawn.double().std(0), atol=0.01, rtol=0.0)
    torch.testing.assert_close(
        told["cash, mean"], (1.0 - drawn.double().sum(-1)).mean().expand(A), atol=0.01, rtol=0.0
    )

    _, drawn = many("direction_size", 100_000)
    told = build("direction_size", scores_of("direction_size")).parameters()
    shares = torch.stack([(drawn[..., 0] == choice).double().mean(0) for choice in range(3)])
    torch.testing.assert_close(torch.stack([told[str(one)] for one in range(3)]), shares, atol=0.01, rtol=0.0)
    for asset in range(A):
        sizes = drawn[drawn[:, asset, 0] != FLAT, asset, 1].double()
        assert sizes.mean().item() == pytest.approx(told["size, mean"][asset].item(), abs=0.01)
        assert sizes.std().item() == pytest.approx(told["size, deviation"][asset].item(), abs=0.01)


@pytest.mark.parametrize("kind", SCORES)
def test_log_probabilities_of_assets_add_up_to_that_of_all(kind):
    ours, actions = many(kind, 50)
    by_asset = ours.logp_by_asset(actions)
    assert by_asset.shape == (50, 1 if kind == "dirichlet" else A)
    torch.testing.assert_close(by_asset.sum(-1), ours.logp(actions), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["categorical", "direction_size", "squashed_gaussian"])
def test_an_assets_log_probability_is_the_one_it_has_alone(kind):
    ours, actions = many(kind, 20)
    by_asset = ours.logp_by_asset(actions)
    scores = scores_of(kind).expand(20, *SCORES[kind])
    for asset in range(A):
        alone = build(kind, scores[:, asset : asset + 1])
        torch.testing.assert_close(
            by_asset[:, asset], alone.logp(actions[:, asset : asset + 1]), rtol=1e-12, atol=1e-12
        )
