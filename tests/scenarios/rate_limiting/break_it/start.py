"""When do 199 requests arrive, so that a limit of 100 a minute lets all pass?"""


def arrivals() -> list[float]:
    """Give the times of 199 requests in order, in seconds from 0."""
    return [number / 4 for number in range(199)]
