"""Which one character makes 99 rows vanish without an error?"""


def damage(text: str) -> str:
    """Give the file with one character more."""
    return text.replace("name 50", "name, 50")
