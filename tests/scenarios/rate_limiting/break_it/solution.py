"""100 before the minute ends, 99 after it has begun."""


def arrivals() -> list[float]:
    """Give the times of 199 requests in order, in seconds from 0."""
    return [59 + number / 100 for number in range(199)]
