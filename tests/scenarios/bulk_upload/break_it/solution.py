"""A quote that never closes takes all the lines after it into one field."""


def damage(text: str) -> str:
    """Give the file with one character more."""
    return text.replace("\n", '\n"', 1)
