"""Draw questions from a seed, exactly as `docs/assets/practice/mock.js` does in the browser.

The words of the seed are mixed into 32 bits (xmur3), those drive a generator (mulberry32), and the
generator drives the first steps of a Fisher-Yates shuffle; the two mixers are in the public domain.
Only whole numbers of 32 bits are used, so both languages agree on every draw.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence

from catalog.model import Catalog, Question

_MASK = 0xFFFFFFFF


def draw(ids: Sequence[str], n: int, seed: str) -> list[str]:
    """Draw without repetition.

    Args:
        ids: the pool; its order counts.
        n: how many; at most all of them, and none when it is negative.
        seed: any text. The same seed gives the same draw, and a larger n goes on from it.
    """
    pool = list(ids)
    size = max(0, min(n, len(pool)))
    word = _generator(_mixed(seed))
    for at in range(size):
        other = at + (word() * (len(pool) - at) >> 32)
        pool[at], pool[other] = pool[other], pool[at]
    return pool[:size]


def pool(catalog: Catalog) -> list[Question]:
    """Give the questions that can be drawn, by the number of their first scenario."""
    numbers = {one.id: one.number for one in catalog.scenarios}
    return sorted(
        (one for one in catalog.questions if catalog.has_page(one)),
        key=lambda one: (min(numbers[name] for name in one.scenarios), one.id),
    )


def revision(facts: Iterable[object]) -> str:
    """Give eight digits that change whenever the pool, or what it is filtered by, changes."""
    return hashlib.sha256(json.dumps(list(facts), sort_keys=True).encode()).hexdigest()[:8]


def _mixed(seed: str) -> int:
    units = seed.encode("utf-16-le", "surrogatepass")
    mixed = 1779033703 ^ len(units) // 2
    for at in range(0, len(units), 2):
        mixed = (mixed ^ int.from_bytes(units[at : at + 2], "little")) * 3432918353 & _MASK
        mixed = (mixed << 13 | mixed >> 19) & _MASK
    mixed = (mixed ^ mixed >> 16) * 2246822507 & _MASK
    mixed = (mixed ^ mixed >> 13) * 3266489909 & _MASK
    return mixed ^ mixed >> 16


def _generator(state: int) -> Callable[[], int]:
    def word() -> int:
        nonlocal state
        state = (state + 0x6D2B79F5) & _MASK
        mixed = (state ^ state >> 15) * (1 | state) & _MASK
        mixed ^= (mixed + (mixed ^ mixed >> 7) * (61 | mixed)) & _MASK
        return mixed ^ mixed >> 14

    return word
