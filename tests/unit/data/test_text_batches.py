import pyarrow as pa

from recflow.config.sections.cleaning import CleaningSection
from recflow.data.text_batches import clean_texts
from recflow.domain.free_text import rules_for_people

RULES = rules_for_people(CleaningSection())


def test_every_row_is_cleaned_and_counted_though_each_text_is_worked_on_once():
    texts = pa.array(["call  555 1234", None, "red shoe", "call  555 1234", "a@b.de"])
    cleaned, reports = clean_texts(texts, RULES)
    assert cleaned.to_pylist() == ["call [phone]", None, "red shoe", "call [phone]", "[email]"]
    assert {report.name: report.changed for report in reports} == {"normalise": 2, "mask": 3}
    assert reports[1].examples == ("call [phone]", "[email]")


def test_a_batch_without_texts_stays_as_it_is():
    for texts in (pa.array([], pa.string()), pa.array([None, None], pa.string())):
        cleaned, reports = clean_texts(texts, RULES)
        assert cleaned.equals(texts)
        assert [report.changed for report in reports] == [0, 0]
