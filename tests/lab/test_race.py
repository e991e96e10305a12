"""Racers start together, answer in order, and their errors are not lost."""

import asyncio
import threading

import pytest

from lab.race import race, race_async


def test_results_come_in_the_order_of_the_numbers() -> None:
    assert race(8, lambda number: number * number) == [0, 1, 4, 9, 16, 25, 36, 49]


def test_all_run_at_the_same_time_each_in_a_thread_of_its_own() -> None:
    meet = threading.Barrier(16, timeout=10)

    def runner(_: int) -> int:
        meet.wait()
        return threading.get_ident()

    assert len(set(race(16, runner))) == 16


def test_none_starts_before_the_last_is_there() -> None:
    # Check-then-act on a shared number: released one by one, nobody would lose an update.
    count = 0
    looked = threading.Barrier(4, timeout=10)

    def lose(_: int) -> None:
        nonlocal count
        seen = count
        looked.wait()
        count = seen + 1

    race(4, lose)
    assert count == 1


def test_a_single_error_is_raised_as_it_is() -> None:
    def runner(number: int) -> None:
        if number == 3:
            raise KeyError("three")

    with pytest.raises(KeyError, match="three"):
        race(5, runner)


def test_several_errors_are_raised_together() -> None:
    def runner(number: int) -> None:
        if number < 2:
            raise ValueError(number)

    with pytest.RaisesGroup(ValueError, ValueError, match="2 of 5 runners failed"):
        race(5, runner)


@pytest.mark.parametrize("n", [0, -1])
def test_a_race_needs_a_runner(n: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        race(n, lambda number: number)


@pytest.mark.anyio
async def test_async_results_come_in_the_order_of_the_numbers() -> None:
    async def runner(number: int) -> int:
        await asyncio.sleep(0)
        return number * number

    assert await race_async(5, runner) == [0, 1, 4, 9, 16]


@pytest.mark.anyio
async def test_async_runners_are_all_there_before_one_starts() -> None:
    count = 0

    async def lose(_: int) -> None:
        nonlocal count
        seen = count
        await asyncio.sleep(0)
        count = seen + 1

    await race_async(10, lose)
    assert count == 1


@pytest.mark.anyio
async def test_async_errors_do_not_stop_the_others() -> None:
    done: list[int] = []

    async def runner(number: int) -> None:
        if number == 0:
            raise ValueError("zero")
        await asyncio.sleep(0)
        done.append(number)

    with pytest.raises(ValueError, match="zero"):
        await race_async(4, runner)
    assert sorted(done) == [1, 2, 3]


@pytest.mark.anyio
async def test_an_async_race_needs_a_runner() -> None:
    async def runner(number: int) -> int:
        return number

    with pytest.raises(ValueError, match="at least 1"):
        await race_async(0, runner)
