"""Memory leaks: how they grow, who finds them, what looking costs, and where the memory is.

The seven leaks and the twenty harmless functions are those of the drill. Costs are processor time,
of the serving process where there is one, taken in turns in one run. As
`evidence.memory_leaks:create` this module is also the service that is measured.
"""

import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from evidence.harness import Run

MIB = 1024 * 1024
ROUNDS = 5
REQUESTS = 100
WARMUP = 50 + 120 + 480 + 120 + 480
"""What our detector may have called before its last look: 50, two looks, and 480 before each."""
CASES = "tests/scenarios/memory_leaks/cases.py"
PEER = "tests/scenarios/memory_leaks/limit_leaks.py"
KINDS = "tests/scenarios/memory_leaks/kinds.py"
ROOT = Path(__file__).resolve().parent.parent


def measure(run: "Run") -> None:
    """Record everything; about two minutes."""
    run.uses(CASES, KINDS, PEER)
    run.packages("memray", "pytest-memray", "blinker", "uvicorn", "starlette", "psutil")
    slopes(run)
    shapes(run)
    found(run)
    where(run)
    micro(run)
    requests(run)
    emitting(run)
    borrowing(run)


# -- the service that is measured ------------------------------------------------------------------


def create() -> Starlette:
    """Make the service: a hundred rows as JSON, which is what most routes do."""
    if os.environ.get("SAMPLER"):
        threading.Thread(target=_sample, daemon=True).start()
    return Starlette(routes=[Route("/", answer)])


async def answer(_: Request) -> JSONResponse:
    """Answer with a hundred rows."""
    rows = [
        {"id": number, "name": f"user {number}", "tags": ["new", str(number)], "cents": number * 7}
        for number in range(100)
    ]
    return JSONResponse(rows)


def _sample() -> None:
    process = psutil.Process()
    pause = threading.Event()
    while not pause.wait(1.0):
        process.memory_info()


# -- how leaks grow --------------------------------------------------------------------------------


def slopes(run: "Run") -> None:
    """Record the bytes per call of each leak and of its mend."""
    from snippets.memory_leaks import leak_detector
    from tests.scenarios.memory_leaks import cases

    rows = []
    run.value("payload", sys.getsizeof(bytes(cases.SIZE)), "bytes", note="one body, no owner")
    worst = 0.0
    for name, case in cases.SEVEN.items():
        with cases.running(case.naive) as call:
            naive = leak_detector.growth_per_call(call)
        with cases.running(case.good) as call:
            good = leak_detector.growth_per_call(call)
        rows.append({"leak": name, "bytes": round(naive)})
        worst = max(worst, good)
        key = name.replace(" ", "-").replace("_", "-")
        run.value(f"slope-{key}", round(naive), "bytes", note="left behind by each further call")
    run.value("slope-mended", round(max(worst, 0)), "bytes", note="the largest of the seven mends")
    run.chart("slopes", _bars(rows, "leak", "bytes", "bytes per call"), columns=["leak", "bytes"])


def shapes(run: "Run") -> None:
    """Record how memory goes with calls: the collector as Python sets it."""
    import altair as alt

    from tests.scenarios.memory_leaks import cases

    gc.collect()
    gc.freeze()
    works: dict[str, tuple[Callable[[ExitStack], cases.Call], int]] = {
        "leak: listeners": (cases.SEVEN["event listeners"].naive, 1),
        "cycles": (lambda _: cases.make_a_cycle, 1),
        "cache of 50": (cases.SEVEN["module dict"].good, 1),
        "weak listeners": (cases.SEVEN["event listeners"].good, 1),
    }
    columns = {name: _held(make) for name, (make, _) in works.items()}
    gc.unfreeze()
    rows = [
        {"calls": 50 * number, **{name: round(kib) for name, kib in zip(works, held, strict=True)}}
        for number, held in enumerate(zip(*columns.values(), strict=True))
    ]
    names = list(works)
    chart = (
        alt.Chart(alt.Data(values=rows))
        .transform_fold(names, as_=["work", "KiB"])
        .mark_line()
        .encode(
            x=alt.X("calls:Q", axis={"tickCount": 5}),
            y=alt.Y("KiB:Q", title="KiB that Python holds", axis={"tickCount": 6}),
            color=alt.Color("work:N", sort=names, title=None, legend={"columns": 1}),
        )
        .properties(width=300, height=240)
    )
    run.chart("shapes", chart.to_dict(), columns=["calls", *names])
    peak = max(row["cycles"] for row in rows)
    run.value("cycles-peak", peak / 1024, "MiB", note="of 10 kB cycles, thresholds as Python's")


def _held(make: "Callable[[ExitStack], Callable[[], object]]") -> list[float]:
    from tests.scenarios.memory_leaks import cases

    with cases.running(make) as call:
        call()
        gc.collect()
        tracemalloc.start()
        held = [0.0]
        for _ in range(30):
            for _ in range(50):
                call()
            held.append(tracemalloc.get_traced_memory()[0] / 1024)
        tracemalloc.stop()
    return held


# -- who finds them --------------------------------------------------------------------------------


def found(run: "Run") -> None:
    """Record for each tool: leaks found by line, false alarms, seconds."""
    from tests.scenarios.memory_leaks import cases

    # The same for all: 120 calls, alarm above 200 bytes a call. Ours alarms if three looks
    # do; the warm-up of the peers, who look once, is all that ours has called before its third.
    tools: dict[str, tuple[Callable[[cases.Call], str], str]] = {
        "ours": (_ours, "leak_detector, up to three looks"),
        "memray": (_memray, "memray, leaked records"),
        "difference": (_difference, "tracemalloc, two snapshots, caches full"),
    }
    for key, (tool, note) in tools.items():
        named = 0
        started = time.process_time()
        for case in cases.SEVEN.values():
            with cases.running(case.naive) as call:
                named += f"/{case.file}:{_number(case)}:" in tool(call)
        alarms = sum(bool(tool(one)) for one in cases.TWENTY)
        seconds = time.process_time() - started
        cases.forget()
        run.value(f"found-{key}", named, "leaks", note=f"of 7, by line: {note}")
        run.value(f"alarms-{key}", alarms, "false alarms", note=f"of 20: {note}")
        run.value(f"seconds-{key}", seconds, "s", note="processor time for the 27")
    named, alarms, seconds = _pytest_memray()
    run.value("found-limit-leaks", named, "leaks", note="of 7: pytest-memray, limit_leaks")
    run.value("alarms-limit-leaks", alarms, "false alarms", note="of 20: pytest-memray")
    run.value("seconds-limit-leaks", seconds, "s", note="processor time for the 27")


def _number(case: Any) -> int:  # noqa: ANN401 - a Case of the tests
    lines = (ROOT / "snippets/memory_leaks" / case.file).read_text(encoding="utf-8").split("\n")
    return next(number for number, line in enumerate(lines, 1) if line.strip() == case.line)


def _ours(call: Callable[[], object]) -> str:
    from snippets.memory_leaks import leak_detector

    try:
        leak_detector.assert_no_leak(call, warmup=50, calls=120)
    except leak_detector.LeakError as error:
        return str(error).splitlines()[1]
    return ""


def _difference(call: Callable[[], object]) -> str:
    tracemalloc.start()  # during the warm-up too: what it made may be freed later
    for _ in range(WARMUP):
        call()
    gc.collect()
    before = tracemalloc.take_snapshot()
    for _ in range(120):
        call()
    gc.collect()
    after = tracemalloc.take_snapshot()
    tracemalloc.stop()
    tools = [tracemalloc.Filter(False, tracemalloc.__file__)]
    grown = after.filter_traces(tools).compare_to(before.filter_traces(tools), "lineno")
    for first in grown[:1]:
        if first.size_diff > 200 * 120:
            return f"{first.traceback[0].filename}:{first.traceback[0].lineno}:"
    return ""


def _memray(call: Callable[[], object]) -> str:
    import memray

    for _ in range(WARMUP):
        call()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "memray.bin"
        with memray.Tracker(path, trace_python_allocators=True):
            for _ in range(120):
                call()
            gc.collect()
        sizes: Counter[str] = Counter()
        with memray.FileReader(path) as reader:
            for record in reader.get_leaked_allocation_records(merge_threads=True):
                stack = [f"{file}:{line}:" for _, file, line in record.stack_trace()]
                sizes[_yours(stack)] += record.size
    ((where, size),) = sizes.most_common(1) or [("", 0)]
    return where if size > 200 * 120 else ""


def _yours(stack: list[str]) -> str:
    """Give the newest frame of this repository, as our detector does."""
    mine = (one for one in stack if one.startswith((f"{ROOT}/snippets", f"{ROOT}/tests")))
    return next(mine, stack[0] if stack else "")


def _pytest_memray() -> tuple[int, int, float]:
    started = os.times()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--memray", "-q", "-rfE", "--tb=no", str(ROOT / PEER)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    ended = os.times()
    used = ended.children_user + ended.children_system
    used -= started.children_user + started.children_system
    alarms = [line for line in done.stdout.splitlines() if line.startswith("MEMORY PROBLEMS")]
    seven = [line for line in alarms if "::test_seven[" in line]
    twenty = [line for line in alarms if "::test_twenty[" in line]
    assert len(seven) + len(twenty) == len(alarms), done.stdout + done.stderr
    assert f"{len(alarms)} failed, {27 - len(alarms)} passed" in done.stdout, done.stdout
    return len(seven), len(twenty), used


# -- where the memory is ---------------------------------------------------------------------------


def where(run: "Run") -> None:
    """Record the four kinds: what the system shows, and what examine() finds."""
    for kind in ("reachable", "unreachable", "not_returned", "native"):
        said = subprocess.run(
            [sys.executable, "-m", "tests.scenarios.memory_leaks.kinds", kind],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        seen = json.loads(said)
        assert seen["kinds"][0] == kind, seen
        key = kind.replace("_", "-")
        run.value(f"kind-{key}-resident", seen["resident"] / MIB, "MiB", note="growth of RSS")
        run.value(f"kind-{key}-trimmed", seen["trimmed"] / MIB, "MiB", note="malloc_trim returned")


# -- what looking costs ----------------------------------------------------------------------------


def micro(run: "Run") -> None:
    """Record the cost of tracing where a program does nothing but allocate, 30 frames deep."""
    import memray

    def allocate(depth: int = 30) -> int:
        if depth:
            return allocate(depth - 1)
        return len([(number, str(number)) for number in range(20_000)])

    def traced(frames: int) -> None:
        tracemalloc.start(frames)
        allocate()
        tracemalloc.stop()

    def tracked() -> None:
        with (
            tempfile.TemporaryDirectory() as folder,
            memray.Tracker(Path(folder) / "memray.bin", trace_python_allocators=True),
        ):
            allocate()

    times = run.compare(
        {
            "none": allocate,
            "tracemalloc 1": lambda: traced(1),
            "tracemalloc 25": lambda: traced(25),
            "memray": tracked,
        },
        rounds=ROUNDS,
    )
    bare = times["none"].seconds
    for name in ("tracemalloc 1", "tracemalloc 25", "memray"):
        ratios = [a / b for a, b in zip(times[name].seconds, bare, strict=True)]
        key = f"micro-{name.replace(' ', '-')}"
        run.median(key, ratios, "times", note="a loop that only allocates; 1 is without")


# With Python's allocators, as tracemalloc sees them: without, memray sees whole arenas.
MEMRAY = ["-m", "memray", "run", "--trace-python-allocators", "--force", "-q"]
TOOLS: dict[str, list[str]] = {
    "none": [],
    "RSS each second": [],
    "memray": [*MEMRAY, "-o", "{folder}/plain.bin"],
    "memray --native": [*MEMRAY, "--native", "-o", "{folder}/native.bin"],
    "tracemalloc 1": ["-X", "tracemalloc=1"],
    "tracemalloc 25": ["-X", "tracemalloc=25"],
}


def requests(run: "Run") -> None:
    """Record the processor time of one request to a real service, under each tool."""
    import httpx2

    from lab.eventually import eventually
    from lab.process import spawn
    from lab.servers.base import free_port

    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        client = stack.enter_context(httpx2.Client(trust_env=False, timeout=60))
        served: dict[str, tuple[psutil.Process, str]] = {}
        for name, options in TOOLS.items():
            port = free_port()
            argv = [
                sys.executable, *(one.format(folder=folder) for one in options),
                "-m", "uvicorn", "--factory", "evidence.memory_leaks:create",
                "--port", str(port), "--log-level", "critical",
            ]  # fmt: skip
            env = {"SAMPLER": "1"} if name == "RSS each second" else {}
            child = stack.enter_context(spawn(argv, env=env, cwd=ROOT, capture=False))
            url = f"http://127.0.0.1:{port}/"

            def is_up(url: str = url) -> bool:
                try:
                    return client.get(url).status_code == 200
                except httpx2.TransportError:
                    return False

            eventually(is_up, timeout=240)
            served[name] = psutil.Process(child.pid), url
        micros: dict[str, list[float]] = {name: [] for name in TOOLS}
        for number in range(ROUNDS + 1):
            for name, (process, url) in served.items():
                before = sum(process.cpu_times()[:2])
                for _ in range(REQUESTS):
                    client.get(url).raise_for_status()
                used = sum(process.cpu_times()[:2]) - before
                if number:  # the first round warms up
                    micros[name].append(1e6 * used / REQUESTS)
            run.step(f"requests, round {number} of {ROUNDS}")
    rows = []
    for name, each in micros.items():
        ratios = [a / b for a, b in zip(each, micros["none"], strict=True)]
        rows.append({"tool": name, "times": round(statistics.median(ratios), 2)})
        if name != "none":
            key = "request-" + name.lower().replace(" --", "-").replace(" ", "-")
            run.median(key, ratios, "times", note="processor time of a request; 1 is without")
    run.median("request", micros["none"], "µs", note="processor time of a request, no tool")
    title = "times a bare request"
    run.chart("requests", _bars(rows, "tool", "times", title), columns=["tool", "times"])


# -- what the mends cost ---------------------------------------------------------------------------


class _Listener:
    def __init__(self) -> None:
        self.price = 0.0

    def hear(self, price: float) -> None:
        self.price = price

    def receive(self, _: object, price: float) -> None:
        self.price = price


def emitting(run: "Run") -> None:
    """Record an event to ten listeners: strong bus, ours, blinker."""
    import blinker

    from snippets.memory_leaks import naive_event_bus, weak_event_bus

    listeners = [_Listener() for _ in range(10)]
    strong, weak, signal = naive_event_bus.EventBus(), weak_event_bus.EventBus(), blinker.Signal()
    for one in listeners:
        strong.on("price", one.hear)
        weak.subscribe("price", one.hear)
        signal.connect(one.receive)

    emits: dict[str, Callable[[], object]] = {
        "strong": lambda: strong.emit("price", 1.0),
        "ours": lambda: weak.emit("price", 1.0),
        "blinker": lambda: signal.send(None, price=1.0),
    }
    used: dict[str, list[float]] = {name: [] for name in emits}
    for number in range(ROUNDS):
        for name, emit in emits.items():
            started = time.process_time()
            for _ in range(3000):
                emit()
            used[name].append(time.process_time() - started)
        run.step(f"emitting, round {number + 1} of {ROUNDS}")
    each = [1e6 * seconds / 3000 for seconds in used["ours"]]
    run.median("emit", each, "µs", note="processor time of one event to ten weak listeners")
    for name in ("strong", "blinker"):
        pairs = zip(used["ours"], used[name], strict=True)
        run.median(f"emit-of-{name}", [a / b for a, b in pairs], "times", note=f"{name} is 1")


def borrowing(run: "Run") -> None:
    """Record what the guard adds to borrowing a connection."""
    from psycopg_pool import ConnectionPool

    from lab import servers
    from snippets.memory_leaks.resource_scope import PoolGuard

    with servers.postgres() as server, ConnectionPool(server.url, min_size=1, max_size=1) as pool:
        guard = PoolGuard(pool)

        def query(borrow: Callable[[], Any]) -> Callable[[], None]:
            def turn() -> None:
                for _ in range(200):
                    with borrow() as conn:
                        conn.execute("SELECT 1")

            return turn

        both = {"pool": query(pool.connection), "guard": query(guard.connection)}
        for turn in both.values():
            turn()
        times = run.compare(both, rounds=ROUNDS)
    pairs = list(zip(times["guard"].seconds, times["pool"].seconds, strict=True))
    run.median("guard", [a / b for a, b in pairs], "times", note="pool.connection() is 1")


def _bars(rows: list[dict[str, Any]], name: str, field: str, title: str) -> dict[str, object]:
    import altair as alt

    most = max(float(row[field]) for row in rows)
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y(f"{name}:N", sort=None, title=None),
        # Room for the numbers at the ends of the bars, on a phone too.
        x=alt.X(
            f"{field}:Q", title=title, axis={"tickCount": 3}, scale={"domain": [0, 1.4 * most]}
        ),
    )
    labels = base.mark_text(align="left", dx=4).encode(text=f"{field}:Q")
    spec = (base.mark_bar() + labels).properties(width=140, height=28 * len(rows)).to_dict()
    return {**spec, "padding": {"left": 18, "right": 5, "top": 5, "bottom": 5}}
