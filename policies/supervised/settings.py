"""Settings of a supervised policy (``conf/policy``): the model, its labels, and how a prediction becomes a position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any, Literal, get_args

from data.features.compute import FeatureSet
from data.labelling import LabelConfig, primary_side
from policies.supervised.primary_rule import require_sign

Model = Literal["ridge", "logistic", "lightgbm", "xgboost", "lightgbm_rank"]
MODELS: tuple[str, ...] = get_args(Model)
CLASSIFIERS = ("logistic", "lightgbm", "xgboost")
"""Models that give the probability that a side pays."""
PACKAGES: Mapping[str, tuple[str, str]] = {
    "lightgbm": ("lightgbm", "-c requirements.lock -e '.[supervised]'"),
    "lightgbm_rank": ("lightgbm", "-c requirements.lock -e '.[supervised]'"),
    "xgboost": ("xgboost", "xgboost-cpu"),
}
"""Model -> the package that it needs beyond Rayfold's own, and what pip is told to install."""
DRIVEN_SCHEMES = ("direction", "orders", "direction_size", "order_entry", "weights")
"""Action schemes that a position can be said in: its side, or its side and size."""


@dataclass(frozen=True, kw_only=True)
class LinearParameters:
    """Of ridge and logistic regression. penalty : of squared coefficients, per training row, features standardised."""

    penalty: float

    def __post_init__(self) -> None:
        if not self.penalty >= 0.0:
            raise ValueError(f"penalty is {self.penalty}; it must be 0 or more")


@dataclass(frozen=True, kw_only=True)
class BoostingParameters:
    """What both libraries of boosted trees have in common.

    Parameters
    ----------
    rounds : trees. learning_rate : weight of each.
    feature_share, row_share : drawn anew for each tree, (0, 1].
    l2 : penalty on squared leaf values.
    """

    rounds: int
    learning_rate: float
    feature_share: float
    row_share: float
    l2: float

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"rounds is {self.rounds}; it must be at least 1 tree")
        for name in ("learning_rate", "feature_share", "row_share"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie in (0, 1]")
        if not self.l2 >= 0.0:
            raise ValueError(f"l2 is {self.l2}; it must be 0 or more")


@dataclass(frozen=True, kw_only=True)
class LightGBMParameters(BoostingParameters):
    """Trees that grow leaf by leaf. leaves : of a tree, at most. min_leaf_rows : training rows in each."""

    leaves: int
    min_leaf_rows: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.leaves < 2 or self.min_leaf_rows < 1:
            raise ValueError(
                f"leaves is {self.leaves} and min_leaf_rows {self.min_leaf_rows}; they must be at least 2 and 1"
            )


@dataclass(frozen=True, kw_only=True)
class RankParameters(LightGBMParameters):
    """Trees that order the symbols of a bar. grades : steps of relevance that returns of a bar are ranked into."""

    grades: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.grades <= 31:
            raise ValueError(f"grades is {self.grades}; it must lie between 2 and 31")


@dataclass(frozen=True, kw_only=True)
class XGBoostParameters(BoostingParameters):
    """Trees that grow level by level. depth : of a tree, at most. min_child_weight : sum of curvature in a leaf."""

    depth: int
    min_child_weight: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depth < 1 or not self.min_child_weight >= 0.0:
            raise ValueError(
                f"depth is {self.depth} and min_child_weight {self.min_child_weight}; they must be at least 1 and 0"
            )


Parameters = LinearParameters | LightGBMParameters | RankParameters | XGBoostParameters
PARAMETERS: Mapping[str, type[Parameters]] = {
    "ridge": LinearParameters,
    "logistic": LinearParameters,
    "lightgbm": LightGBMParameters,
    "xgboost": XGBoostParameters,
    "lightgbm_rank": RankParameters,
}
"""Model -> what can be set of it, under ``policy.parameters``."""


@dataclass(frozen=True, kw_only=True)
class PositionConfig:
    """How predictions become positions.

    Parameters
    ----------
    rule : "threshold": a side is taken where the probability that it pays is at least `threshold` (classifiers).
        "share": where the prediction is as strong as the strongest `share` of those on the training rows.
        "edge": where the expected return exceeds the cost of a round trip, and the larger the more it does.
        "rank": long the best `share` of the symbols of a bar and short the worst.
    sides : which may be taken; "long" alone where ``env.action.allow_short`` is false.
    threshold : probability, 0.5 to 1.
    share : of training rows (rule share) or of symbols (rule rank), (0, 1] and (0, 0.5].
    fraction : |notional| over equity of one position; under rule edge the size at an edge of two round trips. Schemes
        without a size leave it to ``env.sizing``.
    max_fraction : rule edge: cap of one position.
    round_trip_cost : rule edge: fraction of notional that entering and leaving costs (0.0004 for 2 bps a side).
    hold_bars : bars that a side is kept for at least.
    """

    rule: Literal["threshold", "share", "edge", "rank"]
    sides: Literal["both", "long", "short"]
    threshold: float
    share: float
    fraction: float
    max_fraction: float
    round_trip_cost: float
    hold_bars: int

    def __post_init__(self) -> None:
        if not 0.5 <= self.threshold < 1.0:
            raise ValueError(f"position.threshold is {self.threshold}; it must be a probability in [0.5, 1)")
        largest = 0.5 if self.rule == "rank" else 1.0
        if not 0.0 < self.share <= largest:
            raise ValueError(
                f"position.share is {self.share}; under rule {self.rule} it must lie in (0, {largest}]"
            )
        if not 0.0 < self.fraction <= 1.0 or not self.fraction <= self.max_fraction <= 1.0:
            raise ValueError(
                f"position.fraction is {self.fraction} and position.max_fraction {self.max_fraction}; they must be "
                "fractions of equity, 0 < fraction <= max_fraction <= 1"
            )
        if self.rule == "edge" and not self.round_trip_cost > 0.0:
            raise ValueError(
                f"position.round_trip_cost is {self.round_trip_cost}; rule edge measures the expected return in round "
                "trips, so it must be above 0 (0.0004 for 2 bps a side)"
            )
        if self.hold_bars < 1:
            raise ValueError(f"position.hold_bars is {self.hold_bars}; it must be at least 1 bar")


@dataclass(frozen=True, kw_only=True)
class SupervisedSettings:
    """A supervised policy.

    Parameters
    ----------
    model : of `MODELS`.
    labels : what a row's side goes on to earn. With a primary rule a model for each of its sides learns whether that
        side pays, and no other is taken (meta-labels; Lopez de Prado 2018, Advances in Financial Machine Learning,
        section 3.6).
    scope : "pooled" fits one model on the rows of all symbols, "symbol" one for each symbol.
    parameters : of the model, see `PARAMETERS`.
    position : from predictions to positions.
    net_labels : labels are net of the costs of entering and leaving at the experiment's rates, so that each side has a
        model of its own; False in contracts that do not say.
    """

    model: Model
    labels: LabelConfig
    scope: Literal["pooled", "symbol"]
    parameters: Parameters
    position: PositionConfig
    net_labels: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.parameters, PARAMETERS[self.model]):
            raise ValueError(
                f"{self.model} has no {type(self.parameters).__name__}; give it {PARAMETERS[self.model].__name__}"
            )
        if self.position.rule == "rank" and self.labels.primary is not None:
            raise ValueError(
                f"labels.primary is {self.labels.primary!r}, which takes a side for each symbol by itself, and "
                "policy.position.rule=rank takes sides by comparing symbols; use rule threshold, share or edge"
            )
        if self.position.rule == "rank" and self.net_labels:
            raise ValueError(
                "policy.net_labels is true, but policy.position.rule=rank orders the symbols of a bar by what a long "
                "position earns, and a short one pays its costs too; set it to false"
            )
        rule = self.position.rule
        if self.model == "lightgbm_rank" and (rule != "rank" or self.scope != "pooled"):
            raise ValueError(
                "lightgbm_rank orders the symbols of a bar, whose scores have no other meaning; use "
                "policy.position.rule=rank and policy.scope=pooled"
            )
        if rule == "threshold" and self.model not in CLASSIFIERS:
            raise ValueError(
                f"policy.position.rule is threshold, of a probability, but {self.model} gives none; use rule edge, "
                f"share or rank, or one of {', '.join(CLASSIFIERS)}"
            )

    @property
    def classifies(self) -> bool:
        """Whether scores are probabilities."""
        return self.model in CLASSIFIERS

    @property
    def fitted_sides(self) -> tuple[str, ...]:
        """Sides that a model of their own is fitted for.

        Over a fixed horizon and before costs one side earns what the other loses, so that one model tells both. Of
        barriers the target of one side is not the stop of the other; net of costs both may lose; and a primary rule
        takes its sides at different bars.
        """
        ranked_short = self.position.rule == "rank" and self.position.sides == "short"
        if self.mirrored or self.model == "lightgbm_rank" or ranked_short:  # ranks read the long side
            return ("long",)
        return ("long", "short") if self.position.sides == "both" else (self.position.sides,)

    @property
    def mirrored(self) -> bool:
        """Whether the model of the long side tells the short side as well."""
        return self.labels.kind == "horizon" and self.labels.primary is None and not self.net_labels

    @property
    def labels_in_words(self) -> str:
        """What a model learns to predict, for reports."""
        return self.labels.in_words("net return" if self.net_labels else "return before costs")

    def to_json(self) -> dict[str, Any]:
        """As a contract holds it. What older contracts do not say is said only where it is not as it was then."""
        facts = asdict(self)
        return facts if self.net_labels else {k: v for k, v in facts.items() if k != "net_labels"}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> SupervisedSettings:
        """From what `to_json` gave."""
        return cls(
            model=facts["model"],
            labels=LabelConfig(**facts["labels"]),
            scope=facts["scope"],
            parameters=PARAMETERS[facts["model"]](**facts["parameters"]),
            position=PositionConfig(**facts["position"]),
            net_labels=facts.get("net_labels", False),
        )


def require_package(model: str) -> None:
    """Raise ValueError if a model's package is not installed, before anything is fitted."""
    package, install = PACKAGES.get(model, ("", ""))
    if package and find_spec(package) is None:
        raise ValueError(
            f"policy={model} needs the package {package}: pip install {install}, or choose another policy"
        )


def require_primary(settings: SupervisedSettings, features: FeatureSet, standardise: str) -> None:
    """Raise ValueError where a primary rule's side could not be told, before anything is fitted.

    Parameters
    ----------
    standardise : how features are standardised.
    """
    primary_side(settings.labels, features)
    if settings.labels.primary is not None:
        require_sign(settings.labels.primary, {"method": standardise})


def require_symbols(settings: SupervisedSettings, count: int) -> None:
    """Raise ValueError where symbols are to be ranked and there is none to rank one against."""
    if settings.position.rule == "rank" and count < 2:
        raise ValueError(
            f"policy.position.rule is rank, of the symbols of a bar, but the data have {count}; give more symbols "
            "(data.symbols), or use another rule"
        )


def require_driven(scheme: str) -> None:
    """Raise ValueError for an action scheme that no position can be said in."""
    if scheme not in DRIVEN_SCHEMES:
        raise ValueError(
            f"env.action.scheme is {scheme}, which a supervised policy cannot drive; it gives a side, or a side and a "
            f"size: use one of {', '.join(DRIVEN_SCHEMES)}"
        )
