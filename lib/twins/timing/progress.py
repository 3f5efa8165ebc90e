"""Says how far a long cell of a notebook has come."""

PROGRESS = "· "  # begins a line of progress; shown while a notebook runs, dropped from its page


def tell(text: str) -> None:
    """Say how far a long cell has come."""
    print(f"{PROGRESS}{text}", flush=True)
