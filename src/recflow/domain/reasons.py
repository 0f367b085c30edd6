"""Reasons that a person types: they stand in the ledger, on cards and in manifests, so they fit on a card."""

from recflow.errors import PermanentError

LONGEST_REASON = 1000  # characters; a card and a page show all of it


def refuse_long(reason: str, where: str, error: type[PermanentError]) -> None:
    """`error` for a reason of more than LONGEST_REASON characters that is to stand in `where`."""
    if len(reason) > LONGEST_REASON:
        raise error(
            f"the reason is too long for {where}",
            expected=f"at most {LONGEST_REASON:,} characters",
            seen=f"{len(reason):,}",
            action="say it in short, and where the rest can be read",
        )


def refuse_unreadable(text: str, what: str, error: type[PermanentError]) -> None:
    """`error` for a text of a person that is empty, or has signs that a terminal would obey instead of showing."""
    if not text.strip() or not text.isprintable():
        raise error(
            f"{what} cannot be shown",
            expected="one line of text",
            seen=ascii(text[:80]) if text.strip() else "nothing",
            action=f"say {what} in plain words on one line",
        )
