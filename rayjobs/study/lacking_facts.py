"""What features lack: dates or sectors of symbols that they do not name, or a column that the data have not.

Such values are not known (NaN), and 0 once standardised, which a user must be told.
"""

from __future__ import annotations

from collections.abc import Sequence

from data.features import FeatureSpec, resolve_feature
from data.schema import Panel
from evaluation.report.data_notes import DataNote


def lacking_notes(specs: Sequence[FeatureSpec], *panels: Panel | None) -> tuple[DataNote, ...]:
    """A loud line for each feature that lacks something on one of the panels; None is none."""
    found: dict[str, None] = {}
    for spec in specs:
        feature = resolve_feature(spec.name)
        for panel in panels:
            lacks = "" if panel is None else feature.lacks(panel, spec.params)
            if lacks:
                found[f"the feature {feature.stem(feature.name, spec.params)}: {lacks}"] = None
    return tuple(DataNote(text=text, loud=True) for text in found)
