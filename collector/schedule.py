"""The crontab line that runs `callmeter collect` every minute, and a crontab with and without it.

Everything here is text in, text out; only `read_crontab` and `write_crontab` run the system's `crontab`.
"""

import shlex
import shutil
import subprocess
from pathlib import Path

from collector.core.errors import CallmeterError
from collector.settings import Settings
from collector.supervisor import callmeter

LOG = "collect.log"


def crontab_line(settings: Settings, folder: Path) -> str:
    """The line, with absolute paths; `folder` is where callmeter.toml is looked for when none is named.

    cron turns a bare % into a line's end (crontab(5)), so each one is escaped. The log holds the last run only;
    `callmeter jobs` keeps the history.
    """
    command = shlex.join(callmeter(settings, "collect"))
    line = f"cd {shlex.quote(str(folder))} && {command} > {shlex.quote(str(settings.data_dir / LOG))} 2>&1"
    if "\n" in line:
        raise CallmeterError("a path with a line break cannot stand in a crontab: move the data directory")
    return "* * * * * " + line.replace("%", "\\%")


def with_line(crontab: str, line: str, data_dir: Path) -> str:
    """The crontab with our line in it exactly once, everything else unchanged."""
    rest = without_line(crontab, data_dir)
    if rest and not rest.endswith("\n"):
        rest += "\n"
    begin, end = _markers(data_dir)
    return f"{rest}{begin}\n{line}\n{end}\n"


def without_line(crontab: str, data_dir: Path) -> str:
    """The crontab without our line for this data directory, everything else unchanged."""
    begin, end = _markers(data_dir)
    kept, inside = [], False
    for line in crontab.splitlines(keepends=True):
        text = line.rstrip("\n")
        if text == begin:
            inside = True
        if not inside:
            kept.append(line)
        if text == end:
            inside = False
    return crontab if inside else "".join(kept)


def read_crontab() -> str:
    """The user's crontab, "" when there is none. Raises CallmeterError where `crontab` is absent or refuses."""
    done = subprocess.run([_crontab(), "-l"], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return done.stdout
    if "no crontab for" in done.stderr:
        return ""
    raise CallmeterError(f"`crontab -l` failed: {done.stderr.strip()}")


def write_crontab(text: str) -> None:
    """Makes `text` the user's crontab; an empty one is removed."""
    arguments = ["-"] if text.strip() else ["-r"]
    done = subprocess.run([_crontab(), *arguments], input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0 and "no crontab for" not in done.stderr:
        raise CallmeterError(f"`crontab` refused the new lines: {done.stderr.strip()}")


def _crontab() -> str:
    path = shutil.which("crontab")
    if path is None:
        raise CallmeterError("there is no `crontab` on this machine: install cron, or run the printed line otherwise")
    return path


def _markers(data_dir: Path) -> tuple[str, str]:
    return f"# callmeter begin {data_dir}", f"# callmeter end {data_dir}"
