"""Background tasks finish, are let go of, are bounded, and tell what they raised."""

import asyncio
import contextvars
import gc
import inspect
import logging
import weakref

import pytest

from snippets.memory_leaks.task_supervisor import BackgroundTasks
from tests.scenarios.memory_leaks.conftest import Demo

pytestmark = pytest.mark.anyio
REQUEST: contextvars.ContextVar[object] = contextvars.ContextVar("request")


async def test_a_finished_task_is_let_go_of_with_its_result() -> None:
    class Result:
        pass

    gone: list[weakref.ref[Result]] = []

    async def work() -> Result:
        result = Result()
        gone.append(weakref.ref(result))
        return result

    tasks = BackgroundTasks(limit=1)
    await tasks.spawn(work())
    async with tasks:
        pass
    await asyncio.sleep(0)  # the loop lets go of it
    assert len(tasks) == 0
    assert gone[0]() is None


async def test_a_full_supervisor_makes_the_caller_wait() -> None:
    tasks = BackgroundTasks(limit=2)
    release = asyncio.Event()
    for _ in range(2):
        await tasks.spawn(release.wait())
    third = asyncio.create_task(tasks.spawn(release.wait()))
    await asyncio.sleep(0)
    assert not third.done()
    assert len(tasks) == 2
    release.set()
    await third
    async with tasks:
        pass
    assert len(tasks) == 0


async def test_a_caller_cancelled_while_it_waits_starts_nothing_and_takes_no_place() -> None:
    tasks = BackgroundTasks(limit=1)
    release = asyncio.Event()
    await tasks.spawn(release.wait())
    work = release.wait()
    waiting = asyncio.create_task(tasks.spawn(work))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED
    release.set()
    async with tasks:
        await tasks.spawn(release.wait())


async def test_what_cannot_be_started_takes_no_place() -> None:
    def refuse(*_: object) -> asyncio.Future[object]:
        raise MemoryError

    loop = asyncio.get_running_loop()
    async with BackgroundTasks(limit=1) as tasks, asyncio.timeout(5):
        with pytest.raises(TypeError, match="a coroutine is needed, not <built-in function print>"):
            await tasks.spawn(print)  # type: ignore[arg-type]  # the bad input
        work = asyncio.sleep(0)
        loop.set_task_factory(refuse)  # type: ignore[arg-type]  # takes more than that
        try:
            with pytest.raises(MemoryError):
                await tasks.spawn(work)
        finally:
            loop.set_task_factory(None)
        await tasks.spawn(work)


async def test_what_is_no_coroutine_is_refused_before_it_waits() -> None:
    release = asyncio.Event()
    async with BackgroundTasks(limit=1) as tasks, asyncio.timeout(5):
        await tasks.spawn(release.wait())
        with pytest.raises(TypeError, match="a coroutine is needed"):
            await tasks.spawn(print)  # type: ignore[arg-type]  # the bad input
        release.set()


async def test_an_on_error_that_raises_costs_no_place_and_keeps_no_task() -> None:
    complaints: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context["exception"]))

    def full(_: str, __: BaseException) -> None:
        raise OSError("the log is full")

    async def fail() -> None:
        raise ConnectionError("hung up")

    tasks = BackgroundTasks(limit=1, on_error=full)
    async with asyncio.timeout(5):
        for _ in range(3):
            await tasks.spawn(fail())
        async with tasks:
            pass
    await asyncio.sleep(0)
    loop.set_exception_handler(None)
    assert [str(one) for one in complaints] == ["the log is full"] * 3
    assert len(tasks) == 0


async def test_an_error_is_told_and_frees_its_place() -> None:
    told: list[str] = []

    async def fail() -> None:
        raise ConnectionError("hung up")

    async with BackgroundTasks(
        1, on_error=lambda name, error: told.append(f"{name}: {error}")
    ) as t:
        await t.spawn(fail(), name="first")
        await t.spawn(fail(), name="second")
    assert told == ["first: hung up", "second: hung up"]


async def test_an_error_goes_to_the_log_by_default(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ConnectionError("hung up")

    async with BackgroundTasks(1) as tasks:
        await tasks.spawn(fail(), name="mail 7")
    assert "task mail 7" in caplog.text
    assert "ConnectionError: hung up" in caplog.text
    gc.collect()
    assert "never retrieved" not in caplog.text


async def test_leaving_early_cancels_what_runs_and_tells_nobody() -> None:
    told: list[str] = []
    cancelled: list[bool] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    tasks = BackgroundTasks(2, on_error=lambda name, _: told.append(name))
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, c: complaints.append(c["message"]))

    async def leave_early() -> None:
        async with tasks:
            await tasks.spawn(wait())
            await asyncio.sleep(0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await leave_early()
    await asyncio.sleep(0)
    asyncio.get_running_loop().set_exception_handler(None)
    assert (cancelled, told, complaints, len(tasks)) == ([True], [], [], 0)


async def test_tasks_that_start_tasks_are_all_awaited() -> None:
    finished: list[int] = []
    async with BackgroundTasks(5) as tasks:

        async def child(depth: int) -> None:
            if depth:
                await tasks.spawn(child(depth - 1))
            finished.append(depth)

        await tasks.spawn(child(3))
    assert sorted(finished) == [0, 1, 2, 3]


@pytest.mark.parametrize("own", [False, True])
async def test_a_task_keeps_the_callers_context_unless_given_its_own(own: bool) -> None:
    class Request:
        pass

    request = Request()
    gone = weakref.ref(request)
    release = asyncio.Event()
    tasks = BackgroundTasks(1)

    async def handle(request: Request) -> None:
        REQUEST.set(request)
        context = contextvars.Context() if own else None
        await tasks.spawn(release.wait(), context=context)

    await asyncio.create_task(handle(request))
    del request
    await asyncio.sleep(0)  # the loop lets go of the finished request
    gc.collect()
    assert (gone() is None) == own
    release.set()
    async with tasks:
        pass
    await asyncio.sleep(0)
    assert gone() is None


def test_refuses_a_limit_below_one() -> None:
    with pytest.raises(ValueError, match="limit"):
        BackgroundTasks(0)


def test_demo(demo: Demo, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    assert demo("task_supervisor") == [
        "99 finished, at most 10 at once",
        "failed: ['mail 13: the mail server hung up']",
        "0 still held",
    ]
