"""What travels: frozen references, manifests, decisions, ledger entries and events. No behaviour, no I/O."""
