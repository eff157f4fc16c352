"""The course's commands: `make TARGET`, or `python tools/dev.py TARGET` where make is missing.

Only the standard library, and only syntax that Python 3.6 can parse: a Python that is too old for the
course can still run this file, which then finds a better one or says in one sentence what is missing.
"""

# Newer syntax would turn that sentence into a SyntaxError:
# ruff: noqa: UP006, UP035, UP045

import contextlib
import errno
import glob
import hashlib
import importlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from typing import Any, Dict, Iterator, List, Optional, Tuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, *(("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")))
WHEELHOUSE = os.path.join(ROOT, "wheelhouse")
MY_WORK = os.path.join(ROOT, "my_work")
FIRST = "00_start_here.ipynb"
RUNNING = sys.executable
VERSIONS = ["3.14", "3.13", "3.12", "3.11"]  # best first; pyproject.toml's requires-python
LAB, ALL = "lab", "lab,teach,train,dev"
NOTEBOOKS = ["notebooks", "solutions", "exercises"]
SPREAD = ["-n", "2", "--dist", "loadfile"]  # two pytest workers, a file of tests to each
QUICK = "not slow and not browser and not colab"
SETTINGS = ["OPEN", "PORT", "TORCH_BACKEND", "PEER", "REPO", "N", "ASSIGNMENT", "ARGS"]
PATHS = ["VAE_COURSE_DATA", "VAE_COURSE_CACHE", "CELEBA_ROOT", "SUBMISSIONS"]
# Answers "Would you like to get notified about official Jupyter news?"; the option news_url does not.
NO_NEWS = '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}'
PROMPT = "--ServerApp.kernel_websocket_connection_class=vae_course.lab.PromptConnection"  # lab.py says why
# Read by glibc before Python starts, ignored elsewhere; vae_course/cli.py says why.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "268435456",
}
PROBE = "import sys, importlib.util as u; print('%d.%d' % sys.version_info[:2], bool(u.find_spec('{}')))"


class Stop(Exception):
    """The one sentence that a failed command ends in: what is wrong and what to do."""


def setting(name: str) -> str:
    return os.environ.get(name, "").strip()


def run(command: List[str], **env: Optional[str]) -> int:
    """Run in the project's root with `env` added (None removes a variable); the exit status comes back."""
    merged = {key: value for key, value in dict(os.environ, **env).items() if value is not None}
    try:
        return subprocess.call(command, cwd=ROOT, env=merged)
    except FileNotFoundError:
        return 127


# ---- which Python --------------------------------------------------------------------------------------


def probe(python: str, module: str) -> Optional[Tuple[str, bool]]:
    """(version, whether it has `module`); None when it does not run, as a pyenv shim of an absent version."""
    try:
        command = [python, "-c", PROBE.format(module)]
        version, found = subprocess.check_output(command, stderr=subprocess.DEVNULL, timeout=30).decode().split()
        return version, found == "True"
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def pythons_on_path() -> Iterator[str]:
    """All candidates, not only the first of a name: a shim that fails may stand before one that works."""
    for name in ["python" + version for version in VERSIONS] + ["python3", "python"]:
        for folder in os.environ.get("PATH", "").split(os.pathsep):
            found = shutil.which(name, path=folder) if folder else None
            if found and is_outside(found):
                yield found
    if RUNNING and is_outside(RUNNING):  # named by its path, or started by Windows' py
        yield RUNNING


def is_outside(python: str) -> bool:
    """.venv cannot rebuild itself."""
    return not os.path.abspath(python).startswith(VENV + os.sep)


def best_python() -> str:
    """The newest supported Python on PATH that can make an environment."""
    usable, without_pip, others = {}, [], []  # type: Dict[str, str], List[str], List[str]
    for python in pythons_on_path():
        version, has_ensurepip = probe(python, "ensurepip") or ("", False)
        if version in VERSIONS and has_ensurepip:
            usable.setdefault(version, python)
        elif version:
            (without_pip if version in VERSIONS else others).append(version)
    for version in VERSIONS:
        if version in usable:
            return usable[version]
    if without_pip:
        raise Stop(
            f"Python {without_pip[0]} is here without its venv and ensurepip modules: install them "
            f"(Debian, Ubuntu: sudo apt install python{without_pip[0]}-venv) and run this again."
        )
    found = f"only {' and '.join(sorted(set(others)))}" if others else "none"
    raise Stop(
        f"The course needs Python {VERSIONS[-1]} to {VERSIONS[0]} and found {found} on PATH: install one "
        "(python.org, or your system's packages) and run this again."
    )


# ---- the environment -----------------------------------------------------------------------------------


def backend() -> str:
    """TORCH_BACKEND, or the one .venv was made with, so that the variable is needed only once."""
    return setting("TORCH_BACKEND") or read(os.path.join(VENV, "torch-backend"))


def read(path: str) -> str:
    with contextlib.suppress(OSError), open(path, encoding="utf-8") as file:
        return file.read()
    return ""


def write(path: str, text: str) -> None:
    """All or nothing: a kill leaves the old file or the new one."""
    with open(path + ".part", "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
    os.replace(path + ".part", path)


def stamp_path(extras: str) -> str:
    return os.path.join(VENV, "installed-" + ("all" if extras == ALL else extras))


def stamp(extras: str, version: str) -> str:
    parts = [read(os.path.join(ROOT, name)) for name in ("pyproject.toml", "constraints.txt")]
    return hashlib.sha256("\0".join([*parts, extras, version, backend()]).encode()).hexdigest()


def is_ready(extras: str) -> bool:
    """Whether .venv runs and holds what is asked for now; all extras include lab's."""
    version = (probe(PYTHON, "sys") or ("", False))[0]
    stamps = [read(stamp_path(held)) == stamp(held, version) for held in (extras, ALL)]
    return version in VERSIONS and any(stamps)


@contextlib.contextmanager
def lock() -> Iterator[None]:
    """One installation at a time; the system lets go of the lock however the process ends."""
    with open(os.path.join(ROOT, "pyproject.toml"), "r+b") as file:
        told = False
        while True:
            try:
                take(file)
                break
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
                    break  # a file system without locks
            if not told:
                say("Another command is setting up .venv: waiting for it.")
            told = True
            time.sleep(0.2)
        yield


def take(file: Any) -> None:
    """The system's lock, or OSError when another process has it."""
    if os.name == "nt":
        msvcrt = importlib.import_module("msvcrt")
        file.seek(1 << 30)  # beyond the end: on Windows a locked byte cannot be read by the installer
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl = importlib.import_module("fcntl")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def say(text: str) -> None:
    print(text, flush=True)


def ensure_environment(extras: str) -> None:
    """Bring .venv up to date; with an unchanged stamp nothing is installed and the network is not touched."""
    if is_ready(extras):
        return
    if not os.access(ROOT, os.W_OK):
        raise Stop(f"{ROOT} cannot be written: copy the course to a folder of yours and run this there.")
    with lock():
        if is_ready(extras):  # whoever held the lock did it
            return
        make_venv()
        version = (probe(PYTHON, "sys") or ("", False))[0]
        for held in (LAB, ALL):  # a stamp of other versions would be untrue as soon as the first package changes
            if os.path.exists(stamp_path(held)) and read(stamp_path(held)) != stamp(held, version):
                os.remove(stamp_path(held))
        chosen = backend()
        install(extras)
        write(os.path.join(VENV, "torch-backend"), chosen)
        write(stamp_path(extras), stamp(extras, version))


def make_venv() -> None:
    """An empty .venv, unless a working one is there."""
    version, has_pip = probe(PYTHON, "pip") or ("", False)
    if version in VERSIONS and has_pip:
        return
    python = best_python()
    need, free = (3 if backend() == "cpu" else 8), shutil.disk_usage(ROOT).free / 1e9
    if free < need and not os.path.isdir(VENV):
        hint = "" if need == 3 else ", or 3 GB with TORCH_BACKEND=cpu"
        raise Stop(f"The environment needs about {need} GB{hint}; {free:.1f} GB are free: make room first.")
    say(f"Creating .venv with {python}")
    remove(VENV)
    if run([python, "-m", "venv", VENV]) != 0:
        remove(VENV)
        raise Stop(f"{python} could not make .venv: install its venv module (Debian, Ubuntu: python3-venv).")


def install(extras: str) -> None:
    """uv, which takes seconds where pip takes minutes; pip where uv cannot be had."""
    source = ["-c", "constraints.txt"]
    if os.path.isdir(WHEELHOUSE) and extras == LAB:  # it holds what learners need, not the tests' tools
        source += ["--no-index", "--find-links", WHEELHOUSE]
    what = ["-e", f".[{extras}]", *source]
    torch = ["--torch-backend", backend()] if backend() and "--no-index" not in source else []
    say(f"Installing the course's packages [{extras}] into .venv; the first time takes minutes")
    if ensure_uv(source) and run([*uv("install"), *what, *torch], UV_SYSTEM_CERTS="1") == 0:
        return
    say("uv did not manage: trying pip" + (", which knows no TORCH_BACKEND" if torch else ""))
    if run([PYTHON, "-m", "pip", "install", *what]) != 0:
        raise Stop(
            "The packages could not be installed, for the reason above: check the network and run this again, "
            "or bring a wheelhouse/ folder that `make wheelhouse` made on a similar machine with internet."
        )


def uv(command: str) -> List[str]:
    return [PYTHON, "-m", "uv", "pip", command] + (["--python", PYTHON] if command == "install" else [])


def ensure_uv(source: List[str]) -> bool:
    if (probe(PYTHON, "uv") or ("", False))[1]:
        return True
    return run([PYTHON, "-m", "pip", "install", "--quiet", "uv>=0.9", *source]) == 0


def remove(path: str) -> None:
    if os.path.islink(path) or os.path.isfile(path):
        os.remove(path)
    elif os.path.isdir(path):
        shutil.rmtree(path)


# ---- learners' copies ----------------------------------------------------------------------------------


def fingerprint(notebook: bytes) -> str:
    """The hash of what a reader sees; JupyterLab changes metadata when a notebook is only opened."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        cells = json.loads(notebook.decode("utf-8"))["cells"]
        seen = [(cell["cell_type"], "".join(cell["source"]), cell.get("outputs")) for cell in cells]
        notebook = json.dumps(seen, sort_keys=True).encode()
    return hashlib.sha256(notebook).hexdigest()


# folder of the originals, folder of the copies in my_work/, and how links look from there
COPIED = [
    ("notebooks", "", [("](../exercises/", "](exercises/")]),
    ("exercises", "exercises", [("](../notebooks/", "](../"), ("](../solutions/", "](../../solutions/")]),
]


def copy_notebooks(number: str = "") -> List[str]:
    """Lessons and blank sheets into my_work/: new ones, and newer ones over copies that the learner has not changed.

    `number` asks for one sheet alone.
    """
    written = []
    record = os.path.join(MY_WORK, ".copies.json")
    try:
        copied = dict(json.loads(read(record)))  # name in my_work/ -> fingerprint at copy time
    except (OSError, ValueError, TypeError):
        copied = {}  # unknown history: every copy that differs counts as changed
    before = dict(copied)
    os.makedirs(MY_WORK, exist_ok=True)
    for folder, place, links in COPIED[bool(number) :]:
        for original in sorted(glob.glob(os.path.join(ROOT, folder, (number or "[0-9]") + "*.ipynb"))):
            with open(original, "rb") as file:
                content = file.read()
            for there, here in links:
                content = content.replace(there.encode(), here.encode())
            name = "/".join([*filter(None, [place]), os.path.basename(original)])
            written += [name] * copy_unless_changed(content, name, copied)
    if copied != before:
        write(record, json.dumps(copied, indent=1, sort_keys=True) + "\n")
    return [os.path.join(MY_WORK, name) for name in written]


def copy_unless_changed(content: bytes, name: str, copied: Dict[str, str]) -> bool:
    """Whether my_work/`name` was written; `copied` learns about it."""
    copy = os.path.join(MY_WORK, name)
    newest = fingerprint(content)
    mine = None
    os.makedirs(os.path.dirname(copy), exist_ok=True)
    if os.path.exists(copy):
        with open(copy, "rb") as file:
            mine = fingerprint(file.read())
    new = mine in (None, copied.get(name)) and mine != newest
    if new:
        with open(copy + ".part", "wb") as file:
            file.write(content)
        os.replace(copy + ".part", copy)
        mine = newest
    if mine == newest:
        copied[name] = newest
    elif copied.get(name) != newest:
        say(f"my_work/{name} is yours and stays; to get the newer one, rename or delete it.")
    return new


# ---- JupyterLab ----------------------------------------------------------------------------------------


def port_options() -> List[str]:
    """A port that was asked for has to be free; Jupyter's own default moves on to the next free one."""
    text = setting("PORT")
    if not text:
        return []
    if not (text.isdigit() and 0 < int(text) < 65536):
        raise Stop(f"PORT={text} is no port: give a number from 1 to 65535, or leave PORT out.")
    with contextlib.closing(socket.socket()) as sock:
        if os.name != "nt":  # as the server does; on Windows this option would allow two listeners
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", int(text)))
        except OSError:
            raise Stop(f"Port {text} is taken: choose another PORT, or leave it out.") from None
    return [f"--ServerApp.port={text}", "--ServerApp.port_retries=0"]


def jupyter_command(first: str, extra: List[str]) -> List[str]:
    settings = os.path.join(VENV, "share", "jupyter", "lab", "settings")
    os.makedirs(settings, exist_ok=True)
    write(os.path.join(settings, "overrides.json"), NO_NEWS)
    page = "/lab/tree/" + first if os.path.exists(os.path.join(ROOT, first)) else "/lab"
    command = [PYTHON, "-m", "jupyterlab", f"--ServerApp.root_dir={ROOT}", f"--LabApp.default_url={page}"]
    command += [
        "--ServerApp.log_level=ERROR",  # the address is printed at any level
        "--LabApp.log_level=ERROR",
        "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
        "--ServerApp.tornado_settings={'page_config_data': {'buildCheck': False, 'buildAvailable': False}}",
        "--KernelManager.transport_encryption=auto",  # without it, each kernel prints a warning
        PROMPT,
        # tabs are remembered for this course alone; Jupyter's default is one memory for all projects
        "--LabApp.workspaces_dir=" + os.path.join(VENV, "workspaces"),
    ]
    if setting("OPEN") == "0":
        command.append("--no-browser")
    if hasattr(os, "getuid") and os.getuid() == 0:
        command.append("--allow-root")
    return command + port_options() + extra


def serve(command: List[str], **env: str) -> int:
    """Stay in the foreground until Ctrl-C; then the server ends its kernels."""
    # A kernel called python3 in the user's folders or in JUPYTER_PATH must not stand before .venv's.
    env = dict(ALLOCATOR, **dict(os.environ, JUPYTER_PREFER_ENV_PATH="1", **env))  # not over a user's own settings
    env.pop("JUPYTER_PATH", None)
    # In a session of its own the server does not see Ctrl-C, upon which it would ask "Shutdown (y/[n])?".
    server = subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, start_new_session=True)

    def end(*_: object) -> None:
        server.terminate()

    # Nor does it see that the terminal was closed or make was killed.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), end)
    status = server.wait()
    return status if status > 0 else 0


def lab() -> int:
    port_options()  # a taken port is said before anything is installed
    ensure_environment(LAB)
    copies = copy_notebooks()
    if copies:  # JupyterLab hides the interactive parts of outputs that are not signed as trusted
        sign = [PYTHON, "-m", "nbformat.sign", *copies]
        subprocess.call(sign, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    say("JupyterLab opens your copies in my_work/. Ctrl-C here ends it.")
    # No jupytext: a save in a learner's JupyterLab must never write a lesson's source.
    off = "--ServerApp.jpserver_extensions={'jupyterlab_jupytext': False}"
    return serve(jupyter_command("my_work/" + FIRST, [off]))


def edit() -> int:
    port_options()
    ensure_environment(ALL)
    say("JupyterLab opens the lessons themselves: a save writes .py and .ipynb. Ctrl-C here ends it.")
    pairing = "--ServerApp.contents_manager_class=paired_contents.PairedContents"
    return serve(jupyter_command("notebooks/" + FIRST, [pairing]), PYTHONPATH=os.path.join(ROOT, "tools"))


# ---- the other commands --------------------------------------------------------------------------------


def arguments() -> List[str]:
    try:
        return shlex.split(setting("ARGS"))
    except ValueError as error:
        raise Stop(f"ARGS cannot be read ({error}): close its quotation marks.") from None


def tool(*command: str) -> int:
    ensure_environment(ALL)
    return run([PYTHON, *command, *arguments()], JUPYTER_PREFER_ENV_PATH="1")


def test_environment(**more: Optional[str]) -> Dict[str, Any]:
    """One thread a worker: two workers fill two cores. A MPLBACKEND set outside would hide figures."""
    one = dict(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", MPLBACKEND=None, UV_SYSTEM_CERTS="1")
    return dict(one, JUPYTER_PREFER_ENV_PATH="1", JUPYTER_PATH=None, **more)


def pytest(seconds_a_cell: int) -> List[str]:
    nbval = ["--nbval-lax", "--nbval-current-env"]
    return [PYTHON, "-m", "pytest", *SPREAD, *nbval, f"--nbval-cell-timeout={seconds_a_cell}", "tests", *NOTEBOOKS]


def test() -> int:
    ensure_environment(ALL)
    return run(pytest(600) + arguments(), **test_environment(VAE_COURSE_FAST="1", VAE_COURSE_LONG=None))


def test_all() -> int:
    ensure_environment(ALL)
    return run(pytest(3600) + arguments(), **test_environment(VAE_COURSE_LONG="1", VAE_COURSE_FAST=None))


def check() -> int:
    """The five checks side by side, each one's output shown whole when it has ended."""
    ensure_environment(ALL)
    python = [PYTHON, "-m"]
    commands = [
        [*python, "ruff", "check"],
        [*python, "ruff", "format", "--check"],
        [*python, "mypy"],
        [PYTHON, os.path.join("tools", "build_notebooks.py"), "--check"],
        [*python, "pytest", "-q", *SPREAD, "-p", "no:nbval", "-m", QUICK, "tests", *arguments()],
    ]
    env = dict(os.environ, **test_environment(VAE_COURSE_FAST="1"))
    env = {key: value for key, value in env.items() if value is not None}
    start = time.time()
    pipe = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)  # type: Dict[str, Any]
    running = [subprocess.Popen(command, cwd=ROOT, env=env, **pipe) for command in commands]
    failed = 0
    for command, process in zip(commands, running):  # noqa: B905 (strict= is newer than Python 3.6)
        output = process.communicate()[0].rstrip()
        failed += process.returncode != 0
        name = " ".join(command[1:]).replace("-m ", "", 1)
        say(f"{'FAILED' if process.returncode else 'passed'}  {name}\n{output}\n")
    say(f"{failed or 'none'} of {len(commands)} checks failed, {time.time() - start:.0f} s")
    return int(failed > 0)


def notebooks() -> int:
    return tool("tools/build_notebooks.py")


def bench() -> int:
    if not setting("PEER"):
        raise Stop("Give the folder of a pytorch/examples checkout to compare with: make bench PEER=folder")
    return tool("benchmarks/peer.py", "--peer", os.path.abspath(os.path.expanduser(setting("PEER"))))


def publish() -> int:
    if not re.match(r"^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$", setting("REPO")):
        raise Stop("Give the repository on GitHub as owner/name: make publish REPO=owner/name")
    return tool("tools/build_notebooks.py", "publish", setting("REPO"))


def unpublish() -> int:
    return tool("tools/build_notebooks.py", "unpublish")


# ---- exercises and the classroom -----------------------------------------------------------------------


def sheet(number: str, example: str) -> str:
    """The stem of the sheet with this number."""
    stems = [os.path.basename(path)[:-6] for path in glob.glob(os.path.join(ROOT, "exercises", "[0-9]*.ipynb"))]
    found = [stem for stem in stems if number and number.zfill(2) in (stem[:2], stem)]
    if not found:
        numbers = ", ".join(sorted(stem[:2] for stem in stems))
        raise Stop(f"Give the number of a sheet, as in `{example}`; there are {numbers}.")
    return found[0]


def exercise() -> int:
    stem = sheet(setting("N"), "make exercise N=04")
    copy_notebooks(stem)
    say(f"my_work/exercises/{stem}.ipynb is yours: `make lab` opens JupyterLab beside it.")
    say(f"Each task has two hints that open with a click; worked answers are in solutions/{stem}.ipynb.")
    return 0


def progress() -> int:
    """What the checks said in the learner's own notebooks, as one page."""
    ensure_environment(LAB)
    copy_notebooks()
    page = os.path.join(MY_WORK, "progress.html")
    return run([PYTHON, "-m", "vae_course.classroom.progress", os.path.join(MY_WORK, "exercises"), "--out", page])


def check_report() -> int:
    return tool("tools/check_report.py")


def newest_wheel() -> str:
    if wheel() != 0:
        raise Stop("The package's wheel could not be built, for the reason above.")
    return glob.glob(os.path.join(ROOT, "dist", "vae_course-*.whl"))[0]


def release() -> int:
    stem = sheet(setting("ASSIGNMENT"), "make release ASSIGNMENT=04")
    return tool("-m", "vae_course.classroom", "release", stem[:2], "--wheel", newest_wheel())


def grade() -> int:
    if not setting("SUBMISSIONS"):
        raise Stop("Give the folder with the notebooks that were handed in: make grade SUBMISSIONS=folder")
    chosen = ["--assignment", sheet(setting("ASSIGNMENT"), "ASSIGNMENT=04")[:2]] if setting("ASSIGNMENT") else []
    return tool("-m", "vae_course.classroom", "grade", setting("SUBMISSIONS"), "--wheel", newest_wheel(), *chosen)


# ---- packages ------------------------------------------------------------------------------------------


def constraints() -> int:
    """Needs no installed packages: they are what it decides."""
    with lock():
        make_venv()
        if not ensure_uv([]):
            raise Stop("uv could not be installed, for the reason above: check the network, then repeat.")
        bare = ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
        out = ["--all-extras", "--universal", "--python-version", VERSIONS[-1], "-o", "constraints.txt"]
        command = [*uv("compile"), "--quiet", "pyproject.toml", *out, *bare, *arguments()]
        return run(command, UV_SYSTEM_CERTS="1")


def wheel() -> int:
    """Without build isolation, so that it needs no network."""
    ensure_environment(ALL)
    build = os.path.join(ROOT, "build")
    remove(build)  # setuptools would pack modules that are gone from the source
    for old in glob.glob(os.path.join(ROOT, "dist", "vae_course-*.whl")):
        os.remove(old)
    status = run([PYTHON, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", "dist", "."])
    remove(build)
    return status


def wheelhouse() -> int:
    """Built aside and moved into place, so that a broken download is never taken for a wheelhouse."""
    ensure_environment(LAB)
    aside = os.path.join(ROOT, "build", "wheelhouse")
    remove(aside)
    wanted = [f".[{LAB}]", "uv>=0.9", "setuptools>=77", "-c", "constraints.txt"]  # setuptools: for `-e .`
    if run([PYTHON, "-m", "pip", "wheel", "-w", aside, *wanted]) != 0:
        raise Stop("The wheels could not be fetched, for the reason above: check the network, then repeat.")
    remove(WHEELHOUSE)
    os.rename(aside, WHEELHOUSE)
    say("wheelhouse/ serves `make lab` without a network, with this system and this Python version.")
    return 0


def clean() -> int:
    """Never my_work/, nor the wheelhouse, which took a long download."""
    for name in (".venv", "dist", "build", ".pytest_cache", ".ruff_cache", ".mypy_cache"):
        remove(os.path.join(ROOT, name))
    for folder, names, _ in os.walk(ROOT):
        names[:] = [name for name in names if name not in (".git", "my_work", "wheelhouse")]
        for name in list(names):
            if name in ("__pycache__", ".ipynb_checkpoints") or name.endswith(".egg-info"):
                remove(os.path.join(folder, name))
                names.remove(name)
    return 0


def help() -> int:
    """The Makefile's `##` texts are the only list."""
    lines = re.findall(r"^([a-z-]+):.*?## (.*)$", read(os.path.join(ROOT, "Makefile")), re.MULTILINE)
    say("make TARGET, or python tools/dev.py TARGET:\n")
    for name, text in lines:
        say(f"  {name:<12} {text}")
    return 0


COMMANDS = [help, lab, test, check, edit, notebooks, test_all, bench, constraints, wheel, wheelhouse]
COMMANDS += [exercise, progress, check_report, release, grade, publish, unpublish, clean]
TARGETS = {command.__name__.replace("_", "-"): command for command in COMMANDS}


def main(words: List[str]) -> int:
    """`TARGET NAME=value …` as make takes them: not every shell can set a variable for one command."""
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name in SETTINGS + PATHS:
            os.environ[name] = value
    for name in SETTINGS + PATHS:
        if not setting(name):
            os.environ.pop(name, None)  # make exports a variable that was not given as an empty one
        elif name in PATHS:  # kernels and workers run in other folders
            os.environ[name] = os.path.abspath(os.path.expanduser(setting(name)))
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        os.environ.pop(name, None)  # a make that a test starts is not a part of this one
    targets = [word for word in words if "=" not in word] or ["help"]
    try:
        if len(targets) > 1 or targets[0] not in TARGETS:
            raise Stop(f"There is no command `{' '.join(targets)}`: `make help` lists them.")
        return TARGETS[targets[0]]()
    except Stop as stop:
        print(stop, file=sys.stderr)
    except OSError as error:
        print(f"{error}: put that right and run this again.", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
