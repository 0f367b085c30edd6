"""Rules of free text over a column of a batch: each text is worked on once, however many rows repeat it."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from recflow.artifacts.cleaning import RuleReport
from recflow.domain.free_text import TextRule, report


def clean_texts(texts: pa.StringArray, rules: Sequence[TextRule]) -> tuple[pa.StringArray, tuple[RuleReport, ...]]:
    """The texts (rows,) after the rules, nulls kept, and what each rule did. A report counts rows, not texts."""
    encoded = texts.dictionary_encode()
    values = encoded.dictionary.to_pylist()
    rows = np.bincount(encoded.indices.drop_null(), minlength=len(values))
    reports = []
    for rule in rules:
        after = [rule.apply(text) for text in values]
        changed = [place for place, text in enumerate(values) if after[place] != text]
        pairs = ((values[place], after[place]) for place in changed)
        reports.append(report(rule.name, int(rows[changed].sum()), pairs))
        values = after
    return pa.array(values, pa.string()).take(encoded.indices), tuple(reports)
