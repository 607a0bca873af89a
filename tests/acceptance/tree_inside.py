# SPDX-License-Identifier: GPL-2.0-or-later
"""Run commands in a root tree on a tmpfs of its own, and write what they did as JSON.

Started by :mod:`trees` with the name of a folder that holds ``job.json``; the answer is ``result.json`` beside it. Two
namespaces lie around a guest's command: one with every id the caller may have, where the tmpfs is mounted and the
tree unpacked, and inside it the one that ``usermode shell`` makes.
"""

from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from usermode.container.enter import Room, environment, run
from usermode.container.host import mount

VARIABLES = {
    "container": "lxc",
    "DEBIAN_FRONTEND": "noninteractive",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC0",
}
OUTPUT_LIMIT = 1 << 24
LEFT_OUT = ("./dev", "./proc", "./sys")


def listing(tree: Path) -> list[str]:
    """Each file's path, type and mode, owner, group, and a link's target."""
    rows = []
    for top, folders, files in os.walk(tree):
        for name in folders + files:
            path = Path(top) / name
            facts = path.lstat()
            target = f" -> {path.readlink()}" if stat.S_ISLNK(facts.st_mode) else ""
            owner = f"{facts.st_uid}:{facts.st_gid}"
            rows.append(f"{path.relative_to(tree)} {stat.filemode(facts.st_mode)} {owner}{target}")
    return sorted(rows)


def cpu_time() -> float:
    """Seconds of all processes that were waited for, here or by one that was."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def obey(job: dict[str, Any], command: dict[str, Any], tree: Path) -> dict[str, Any]:
    """Run one command, in the tree or on the host beside it."""
    before, started = cpu_time(), time.monotonic()
    with (tree.parent / "output").open("w+b") as output:
        if command.get("host"):
            words = [word.replace("{tree}", str(tree)) for word in command["words"]]
            environ = environment(VARIABLES)
            done = subprocess.run(words, stdout=output, stderr=subprocess.STDOUT, env=environ)
            status = done.returncode
        else:
            room = Room(
                str(tree),
                job["interpreter"],
                binds=[(source, target) for source, target in job["binds"]],
                folders=["/root", "/"],
                environment=environment(VARIABLES),
            )
            status = run(room, command["words"], output=output.fileno())
        output.seek(0)
        text = output.read(OUTPUT_LIMIT).decode(errors="replace")
    return {
        "status": status,
        "output": text,
        "cpu": round(cpu_time() - before, 3),
        "wall": round(time.monotonic() - started, 3),
    }


def inside(top: Path) -> None:
    """Unpack the tree, run the commands until one fails, and keep what the job asks to be kept."""
    job = json.loads((top / "job.json").read_text())
    tree = top / "tree"
    tree.mkdir()
    mount("proc", "/proc", "proc")  # of our own process ids, for the namespace inside this one
    mount("tree", str(tree), "tmpfs", options=f"mode=755,size={job['size']}")
    if job["archive"]:
        subprocess.run(["tar", "-xpf", job["archive"], "-C", str(tree)], check=True)
    results = []
    for command in job["commands"]:
        results.append(obey(job, command, tree))
        if results[-1]["status"]:
            break
    answer = {"results": results, "listing": listing(tree) if job["list"] else []}
    if job["keep"] and not results[-1]["status"]:
        excluded = [f"--exclude={folder}/*" for folder in LEFT_OUT]
        subprocess.run(["tar", "-cpf", job["keep"], "-C", str(tree), *excluded, "."], check=True)
    (top / "result.json").write_text(json.dumps(answer))


def outside(top: Path) -> int:
    """Run :func:`inside` in namespaces with all ids."""
    job = json.loads((top / "job.json").read_text())
    here = str(Path(__file__).resolve().parents[2])
    room = Room(
        str(top),
        job["interpreter"],
        folders=[here],
        environment=environment({"PYTHONPATH": here}),
        pivot=False,
    )
    return run(room, [sys.executable, "-m", "tests.acceptance.tree_inside", str(top), "inside"])


if __name__ == "__main__":
    if sys.argv[2:] == ["inside"]:
        inside(Path(sys.argv[1]))
    else:
        sys.exit(outside(Path(sys.argv[1])))
