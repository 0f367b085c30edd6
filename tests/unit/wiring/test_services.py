from recflow.artifacts.ledger import EventKind, LedgerEvent
from recflow.config.settings import Settings
from recflow.wiring.services import Services


def test_entries_that_no_person_is_named_for_are_signed_as_the_setting_says(tmp_path):
    ledger = Services(Settings(home=tmp_path, actor="night-shift")).ledger
    assert ledger.append("shop", LedgerEvent(kind=EventKind.FROZEN), after=None).actor == "night-shift"
