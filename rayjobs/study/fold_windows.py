"""Which bars of a fold are learnt from, on which a checkpoint is chosen, and which are scored."""

from __future__ import annotations

from envs.episodes import Window
from evaluation.windows.combinatorial_windows import scored_groups
from evaluation.windows.splits import Fold
from rayjobs.study.config import TrainConfig


def scored_windows(config: TrainConfig, fold: Fold, first_bar: int) -> tuple[Fold, ...]:
    """The fold itself, or a split once for each of its groups; ``first_bar`` as `training_windows` takes it."""
    if not fold.groups:
        return (fold,)
    return scored_groups(fold, first_bar + config.env.episode.warmup_bars + 1)


def training_windows(config: TrainConfig, fold: Fold, first_bar: int) -> tuple[Window, Window | None]:
    """Split the training bars into those to learn from and those to choose the best checkpoint on.

    A supervised model is fitted on all of them. Between the two lies the same gap as before a test window. Where the
    fold names its validation window, that is it.

    Parameters
    ----------
    first_bar : first bar whose features and context are all known, `lookback_bars` of the study.

    Raises
    ------
    ValueError
        If the features' lookback, the validation or the gap leave too little to train on.
    """
    start, stop = max(fold.train.start, first_bar + config.env.episode.warmup_bars) + 1, fold.train.stop
    if config.supervised is not None:
        return Window(start_bar=start, stop_bar=stop), None
    validation = None
    validation_bars = int((fold.train.stop - fold.train.start) * config.trainer.validation_fraction)
    if fold.validation is not None:
        validation_bars = 0
        validation = Window(start_bar=fold.validation.start, stop_bar=fold.validation.stop)
    elif validation_bars:
        validation = Window(start_bar=stop - validation_bars, stop_bar=stop)
        stop -= validation_bars + config.walk_forward.gap_bars
    needed = config.env.episode.bars if config.env.episode.kind == "random" else 1
    if stop - start < needed:
        raise ValueError(
            f"fold {fold.index} has {max(stop - start, 0)} bars to train on after the lookback of features and "
            f"context, {first_bar} bars, and {validation_bars} validation bars, but an episode is {needed} bars long; "
            "lengthen the training window (walk_forward) or shorten env.episode.bars"
        )
    return Window(start_bar=start, stop_bar=stop), validation


def windows_to_train(
    config: TrainConfig, fold: Fold, first_bar: int
) -> tuple[tuple[Window, ...], Window | None]:
    """`training_windows` of a fold, or the several of a split.

    A split's validation window is taken from the end of its longest stretch (the latest of equally long ones), as many
    bars as `trainer.validation_fraction` of all stretches, at most half of that one. Stretches that are too short for
    an episode after the lookback are left out.

    Raises
    ------
    ValueError
        If nothing is left to train on.
    """
    if not fold.stretches:
        training, validation = training_windows(config, fold, first_bar)
        return (training,), validation
    known = max(first_bar + config.env.episode.warmup_bars, 0)
    parts = [(max(part.start, known) + 1, part.stop) for part in fold.training]
    wanted = int(fold.num_training_bars * config.trainer.validation_fraction)
    validation = None
    if wanted:
        at = max(range(len(parts)), key=lambda i: (parts[i][1] - parts[i][0], i))
        start, stop = parts[at]
        length = min(wanted, (stop - start) // 2)
        if length > 0:
            validation = Window(start_bar=stop - length, stop_bar=stop)
            parts[at] = (start, stop - length - fold.gap_bars)
    needed = config.env.episode.bars if config.env.episode.kind == "random" else 1
    kept = tuple(
        Window(start_bar=start, stop_bar=stop) for start, stop in parts if stop - start >= max(needed, 1)
    )
    if not kept or (wanted and validation is None):
        longest = max(stop - start for start, stop in parts)
        raise ValueError(
            f"no stretch that split {fold.index} trains on is as long as an episode of {needed} bars: after the "
            f"lookback of features and context, {first_bar} bars, and validation the longest has {max(longest, 0)}; "
            "use fewer groups (walk_forward.groups) or shorten env.episode.bars"
        )
    return kept, validation
