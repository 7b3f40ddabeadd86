"""How many looks a screening of features counts as: whoever is shown N results may go on with the best K of them.

A screening on bars that are judged later (`screening.bars=all`) is one job, yet it says of each feature by itself what
it earned there. The features that the judged policy reads of those are taken for the best of them, which lie as far
above chance as the best of as many independent looks as `statistics.trial_count.number_of_choices` has it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from evaluation.ledger.records import Look
from evaluation.statistics.trial_count import in_digits, number_of_choices, whole_number


def feature_choices(look: Look, read: Collection[str]) -> float:
    """Looks that one which showed features counts as; 1 where it showed none, or the judged policy reads none.

    Features of other names may be the same under new ones: where none is among those that were shown, one of them is
    taken as chosen.

    Parameters
    ----------
    read : names of the features that the judged policy reads.
    """
    shown = set(look.features)
    if not shown or not read:
        return 1.0
    return number_of_choices(len(shown), max(len(shown.intersection(read)), 1))


def of_screenings(looks: Sequence[Look], choices: Sequence[float], read: Collection[str]) -> list[str]:
    """A sentence on looks that showed more features than the judged policy reads of them; none without any.

    Parameters
    ----------
    choices : `feature_choices` of each look.
    """
    wide = [look for look, number in zip(looks, choices, strict=True) if number > 1.0]
    if not wide:
        return []
    most = max(wide, key=lambda look: len(set(look.features)))
    taken = max(len(set(most.features).intersection(read)), 1)
    shown, chosen = len(set(most.features)), "one that is" if taken == 1 else f"{taken} that are"
    number = in_digits(whole_number(max(choices)))
    if len(wide) == 1:
        begin, counts = f"1 screening of these bars showed {shown}", f"it counts as {number} looks"
    else:
        begin = f"{len(wide)} screenings of these bars showed up to {shown}"
        counts = f"they count as {number} looks each at most"
    return [f"{begin} features, of which the {chosen} read could be the best; {counts}."]
