"""What other jobs earned with the configuration that is judged, trained with other seeds: from their looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.ledger.records import FloatArray, Look, LookKind, Record

TRAININGS: tuple[LookKind, ...] = ("training", "single fold", "other seed")
"""Kinds that are one configuration trained with one seed."""
MIN_SHARED = 0.5
"""Share of the judged bars that a look of another seed must have."""


def same_trainings(
    looks: Sequence[Look], run: str, weights: Mapping[str, frozenset[str]] | None = None
) -> list[Look]:
    """Looks, by other jobs than this run, of the configuration that it trained, with other seeds, in order of entry.

    A setting that changes nothing makes another configuration by name, but neither other returns nor other weights. The
    code may have changed since: who doubts an old result of a seed trains that seed again.

    Parameters
    ----------
    weights : key of a look -> hashes of the policies that its trainings gave (`trained_weights.policies`).
    """
    trained = [look for look in looks if look.kind in TRAININGS and look.identity]
    own = [look for look in trained if run in look.runs]
    earned = {look.returns for look in own if look.returns}
    given = weights or {}
    mine = frozenset().union(*(given.get(look.key, ()) for look in own))
    identities = {look.identity for look in own}
    identities |= {x.identity for x in trained if x.returns in earned or given.get(x.key, frozenset()) & mine}
    seeds = {look.seed for look in own}
    return [
        look
        for look in trained
        if look.identity in identities and look.seed is not None and look.seed not in seeds and look.returns
    ]


def returns_in_common(
    looks: Sequence[Look],
    own: Record,
    instants: Callable[[Sequence[str]], Mapping[str, NDArray[np.datetime64]]],
    returns: Callable[[Sequence[str]], Mapping[str, FloatArray]],
) -> dict[int, FloatArray]:
    """Seed -> returns of its look on the judged bars, as far as it has them: half of them at least.

    Of several looks the one with the most of these bars counts, the latest of equals.

    Parameters
    ----------
    own : what is judged. instants, returns : contents by hash.
    """
    if own.bar_utc is None or not looks:
        return {}
    judged = own.bar_utc.astype("datetime64[s]")
    labels, earned = instants([one.instants for one in looks]), returns([one.returns for one in looks])
    found: dict[int, FloatArray] = {}
    for look in looks:
        if look.seed is None or look.instants not in labels or look.returns not in earned:
            continue
        common = np.isin(labels[look.instants], judged)
        enough = max(MIN_SHARED * len(judged), len(found.get(look.seed, ())))
        if common.sum() >= enough:
            found[look.seed] = earned[look.returns][common]
    return found
