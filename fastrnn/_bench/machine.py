"""What is known about the machine and what runs on it."""

import datetime
import platform
from typing import Any

import fastrnn
from fastrnn._bench.threads import available_cpus


def processor() -> str:
    """Return the processor's name, as the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            lines = [line.partition(":") for line in file.read().split("\n\n")[0].splitlines()]
    except OSError:
        lines = []
    facts = {key.strip(): value.strip() for key, _, value in lines}
    name = facts.get("model name") or platform.processor() or platform.machine()
    return f"{name} (family {facts['cpu family']}, model {facts['model']})" if "cpu family" in facts else name


def describe() -> dict[str, Any]:
    """Return what a measurement should say about where it was made."""
    return {
        "processor": processor(),
        "cpus": available_cpus(),
        "isa": fastrnn.show_config()["isa"],
        "compiler": fastrnn.show_config()["compiler"],
        "system": " ".join([platform.system(), *platform.libc_ver()]).strip(),
        "python": platform.python_version(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
    }
