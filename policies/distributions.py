"""Action distributions over the assets of a portfolio, and which one fits an action space.

Assets are independent given the observation (except under the Dirichlet, whose weights share one budget), so
log-probabilities, entropies and divergences add up over assets. Plain torch: knows no RLlib.

Shapes: A assets, N choices per asset; "..." any leading axes. Actions have the shape that the env's action space
asks for after those.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus

from policies.compiled.pointwise_kernels import draw_choices

#: Continuous actions keep this distance from their bounds, as a share of the range; densities are finite there.
MARGIN = 1e-6
#: Score of a choice that is ruled out: its probability is exactly 0.0, all numbers stay finite.
RULED_OUT = -1e9
SHORT, FLAT, LONG = 0, 1, 2


def rule_out(scores: Tensor, allowed: Tensor) -> Tensor:
    """Scores (..., A * N) of categoricals in which only the choices ``allowed`` (..., A, N) are left."""
    return scores.masked_fill(~allowed.flatten(-2), RULED_OUT)


def rule_out_as(scores: Tensor, earlier: Tensor) -> Tensor:
    """Rule out what was ruled out in ``earlier`` scores of the same decisions."""
    return scores.masked_fill(earlier <= 0.5 * RULED_OUT, RULED_OUT)


class ActionDistribution(ABC):
    """What the sampler, the learner and the exported policy need of a distribution."""

    dtype: ClassVar[type[np.generic]] = np.float32  # of the actions

    @abstractmethod
    def logp_by_asset(self, value: Tensor) -> Tensor:
        """Log-probability or log-density (..., A) of each asset's action; (..., 1) where assets are not independent."""

    def logp(self, value: Tensor) -> Tensor:
        """Log-probability or log-density (...,) of actions."""
        return self.logp_by_asset(value).sum(-1)

    @abstractmethod
    def entropy(self) -> Tensor:
        """(...,) in nats; differential where actions are continuous."""

    @abstractmethod
    def kl(self, other: Any) -> Tensor:
        """KL(self || other) (...,) in nats."""

    @abstractmethod
    def draw(self, random: np.random.Generator) -> Tensor:
        """One action per row; the generator alone decides which."""

    @abstractmethod
    def deterministic(self) -> Tensor:
        """The action without exploration: the likeliest choice, or the centre of what is continuous."""

    def parameters(self) -> dict[str, Tensor]:
        """What it is made of, for a reader: name -> (..., A), choices by their number; empty where it does not say."""
        return {}

    def sample(self, **_: Any) -> Tensor:
        """Draw with torch's global generator (the path of RLlib's own env runners)."""
        return self.draw(np.random.default_rng(int(torch.randint(2**62, ()))))

    def to_deterministic(self) -> Deterministic:
        return Deterministic(self.deterministic())


class Deterministic:
    """Always the same action, in the form that RLlib asks for."""

    def __init__(self, action: Tensor) -> None:
        self._action = action

    def sample(self, **_: Any) -> Tensor:
        return self._action


class PerAssetCategorical(ActionDistribution):
    """Independent categoricals.

    Parameters
    ----------
    scores : (..., A, N), unnormalised log-probabilities.
    scalar : actions have no asset axis (``Discrete`` spaces; A is 1).
    """

    dtype = np.int64

    def __init__(self, scores: Tensor, *, scalar: bool = False) -> None:
        self._scores = scores
        self._scalar = scalar

    @cached_property
    def log_probs(self) -> Tensor:
        """(..., A, N); computed when first asked for, since the likeliest choice needs none."""
        # Choices first: over three neighbours in memory torch takes five times as long, for the same bits.
        return torch.log_softmax(self._scores.movedim(-1, 0).contiguous(), dim=0).movedim(0, -1)

    def logp_by_asset(self, value: Tensor) -> Tensor:
        index = value.unsqueeze(-1) if self._scalar else value
        return self.log_probs.gather(-1, index.long().unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        return -(self.log_probs.exp() * self.log_probs).sum((-2, -1))

    def kl(self, other: PerAssetCategorical) -> Tensor:
        return (self.log_probs.exp() * (self.log_probs - other.log_probs)).sum((-2, -1))

    def draw(self, random: np.random.Generator) -> Tensor:
        return self.sample_from(torch.from_numpy(random.random(self._scores.shape[:-1], dtype=np.float32)))

    def sample_from(self, uniforms: Tensor) -> Tensor:
        """Map uniforms (..., A) in [0, 1), float32, to actions by inverting the distribution function."""
        scores = self._scores.detach().cpu().contiguous().numpy()
        choices = np.empty(scores.shape[:-1], np.int64)
        room = np.empty(scores.shape[-1], np.float32)
        draw_choices(scores.reshape(-1, len(room)), uniforms.numpy().reshape(-1), room, choices.reshape(-1))
        return self._shaped(torch.from_numpy(choices).to(self._scores.device))

    def deterministic(self) -> Tensor:
        """The likeliest choice of each asset; the lowest index on ties."""
        return self._shaped(self._scores.argmax(-1))

    def parameters(self) -> dict[str, Tensor]:
        """The probability of each choice."""
        return {str(choice): share for choice, share in enumerate(self.log_probs.exp().unbind(-1))}

    def _shaped(self, choices: Tensor) -> Tensor:
        return choices.squeeze(-1) if self._scalar else choices


class DirectionSize(ActionDistribution):
    """Per asset a direction (0 short, 1 flat, 2 long) and, unless flat, a size in (0, 1).

    The size is Beta distributed with both parameters above 1, so that its density is bounded (Chou et al. 2017).
    A flat action has size 0 and no density for it: what a size of nothing would be cannot be learnt.

    Parameters
    ----------
    scores : (..., A, 5), three for the direction and two for the size: logs of its parameters less one.
    """

    def __init__(self, scores: Tensor) -> None:
        self._direction = PerAssetCategorical(scores[..., :3])
        above_one = _above_one(scores[..., 3:])
        self._size = torch.distributions.Beta(above_one[..., 0], above_one[..., 1], validate_args=False)

    @property
    def _moving(self) -> Tensor:
        """(..., A), probability of not being flat."""
        return 1.0 - self._direction.log_probs[..., FLAT].exp()

    def logp_by_asset(self, value: Tensor) -> Tensor:
        direction, density = self._parts(value)
        return self._direction.logp_by_asset(direction) + density

    def logp(self, value: Tensor) -> Tensor:
        direction, density = self._parts(value)
        return self._direction.logp(direction) + density.sum(-1)

    def _parts(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Directions (..., A), and the log-density (..., A) of the sizes, 0 where flat."""
        direction = value[..., 0].round().long()
        density = self._size.log_prob(value[..., 1].clamp(MARGIN, 1.0 - MARGIN))
        return direction, torch.where(direction == FLAT, 0.0, density)

    def entropy(self) -> Tensor:
        return self._direction.entropy() + (self._moving * self._size.entropy()).sum(-1)

    def kl(self, other: DirectionSize) -> Tensor:
        sizes = torch.distributions.kl_divergence(self._size, other._size)
        return self._direction.kl(other._direction) + (self._moving * sizes).sum(-1)

    def draw(self, random: np.random.Generator) -> Tensor:
        direction = self._direction.draw(random)
        size = random.beta(_numpy(self._size.concentration1), _numpy(self._size.concentration0))
        return self._action(direction, torch.as_tensor(size, dtype=torch.float32))

    def deterministic(self) -> Tensor:
        """The likeliest direction, with the mean size."""
        return self._action(self._direction.deterministic(), self._size.mean)

    def parameters(self) -> dict[str, Tensor]:
        """Probabilities of the directions; mean and standard deviation of the size, where it is not flat."""
        return {
            **self._direction.parameters(),
            "size, mean": self._size.mean,
            "size, deviation": self._size.stddev,
        }

    @staticmethod
    def _action(direction: Tensor, size: Tensor) -> Tensor:
        size = torch.where(direction == FLAT, 0.0, size.clamp(MARGIN, 1.0 - MARGIN))
        return torch.stack([direction.to(size.dtype), size], dim=-1)


class SquashedGaussian(ActionDistribution):
    """Independent Gaussians squashed by tanh into (low, high).

    Parameters
    ----------
    scores : (..., A, 2), mean and (through softplus) standard deviation before squashing.
    low, high : bounds of each action.
    """

    _NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(16)

    def __init__(self, scores: Tensor, *, low: float, high: float) -> None:
        self._mean = scores[..., 0]
        self._spread = softplus(scores[..., 1]) + 0.01
        self._centre, self._reach = 0.5 * (high + low), 0.5 * (high - low)

    def logp_by_asset(self, value: Tensor) -> Tensor:
        squashed = (value - self._centre) / self._reach
        before = torch.atanh(squashed.clamp(2.0 * MARGIN - 1.0, 1.0 - 2.0 * MARGIN))
        standard = (before - self._mean) / self._spread
        density = -0.5 * (standard.square() + np.log(2.0 * np.pi)) - self._spread.log()
        return density - self._log_slope(before)

    def entropy(self) -> Tensor:
        """Entropy before squashing plus the mean log-slope, by Gauss-Hermite quadrature."""
        nodes = self._mean.new_tensor(self._NODES)
        weights = self._mean.new_tensor(self._WEIGHTS / self._WEIGHTS.sum())
        before = self._mean.unsqueeze(-1) + self._spread.unsqueeze(-1) * nodes
        gaussian = 0.5 * (1.0 + np.log(2.0 * np.pi)) + self._spread.log()
        return (gaussian + (self._log_slope(before) * weights).sum(-1)).sum(-1)

    def kl(self, other: SquashedGaussian) -> Tensor:
        """That of the Gaussians: squashing both alike changes no divergence."""
        ratio = self._spread / other._spread
        shift = (self._mean - other._mean) / other._spread
        return (0.5 * (ratio.square() + shift.square() - 1.0) - ratio.log()).sum(-1)

    def draw(self, random: np.random.Generator) -> Tensor:
        normals = torch.from_numpy(random.standard_normal(self._mean.shape, dtype=np.float32))
        return self._squash(self._mean + self._spread * normals).detach()

    def deterministic(self) -> Tensor:
        """The median."""
        return self._squash(self._mean)

    def parameters(self) -> dict[str, Tensor]:
        """Median and the 16th and 84th percentile: squashing keeps the order, so that they are mean and deviation."""
        mean, spread = self._mean, self._spread
        low, high = self._squash(mean - spread), self._squash(mean + spread)
        return {"weight, 16 %": low, "weight, median": self._squash(mean), "weight, 84 %": high}

    def _squash(self, before: Tensor) -> Tensor:
        bound = 1.0 - 2.0 * MARGIN
        return self._centre + self._reach * torch.tanh(before).clamp(-bound, bound)

    def _log_slope(self, before: Tensor) -> Tensor:
        """log of reach (1 - tanh(x)^2), in a form that does not underflow."""
        return np.log(self._reach) + 2.0 * (np.log(2.0) - before - softplus(-2.0 * before))


class CashDirichlet(ActionDistribution):
    """Long-only weights of A assets that, with cash, sum to one: a Dirichlet over A + 1 shares.

    Concentrations are above 1, so that the density is bounded.

    Parameters
    ----------
    scores : (..., A + 1), log of concentration less one; cash comes last.
    """

    def __init__(self, scores: Tensor) -> None:
        self._shares = torch.distributions.Dirichlet(_above_one(scores), validate_args=False)

    def logp_by_asset(self, value: Tensor) -> Tensor:
        """(..., 1): the weights share one budget."""
        shares = torch.cat([value, 1.0 - value.sum(-1, keepdim=True)], dim=-1).clamp(min=MARGIN)
        return self._shares.log_prob(shares / shares.sum(-1, keepdim=True)).unsqueeze(-1)

    def entropy(self) -> Tensor:
        return self._shares.entropy()

    def kl(self, other: CashDirichlet) -> Tensor:
        return torch.distributions.kl_divergence(self._shares, other._shares)

    def draw(self, random: np.random.Generator) -> Tensor:
        gammas = random.standard_gamma(_numpy(self._shares.concentration))
        shares = gammas / gammas.sum(axis=-1, keepdims=True)
        return torch.as_tensor(shares[..., :-1], dtype=torch.float32)

    def deterministic(self) -> Tensor:
        """The mean shares."""
        return self._shares.mean[..., :-1]

    def parameters(self) -> dict[str, Tensor]:
        """Mean and standard deviation of each share, and the mean of what is left in cash."""
        mean, deviation = self._shares.mean, self._shares.stddev
        cash = mean[..., -1:].expand_as(mean[..., :-1])
        return {
            "weight, mean": mean[..., :-1],
            "weight, deviation": deviation[..., :-1],
            "cash, mean": cash,
        }


def _above_one(scores: Tensor) -> Tensor:
    """Concentrations from the logs of what they have above 1; 1 + exp(8), some 3,000, is as narrow as it gets."""
    return 1.0 + scores.clamp(max=8.0).exp()


def _numpy(values: Tensor) -> NDArray[np.float64]:
    return values.detach().cpu().double().numpy()
