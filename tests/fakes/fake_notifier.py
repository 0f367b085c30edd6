from recflow.protocols import Card


class FakeNotifier:
    """Keeps every card it was given."""

    def __init__(self) -> None:
        self.cards: list[Card] = []

    def notify(self, card: Card) -> None:
        self.cards.append(card)
