"""Python processes of their own, for what cannot be tried inside this one."""

import os
import subprocess
import sys
from pathlib import Path

import fastrnn


def start(*arguments, **environment):
    """Start Python with the package that is tested here in its path; a variable of None is taken away."""
    path = [str(Path(fastrnn.__file__).parents[1]), os.environ.get("PYTHONPATH")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path)), **environment}
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in environment.items() if value is not None},
    )


def run(*arguments, timeout=120, **environment):
    """Run Python to its end: (exit status, what it printed, its errors). The timeout is only against hanging."""
    with start(*arguments, **environment) as child:
        try:
            output, errors = child.communicate(timeout=timeout)
        finally:
            child.kill()
    return child.returncode, output, errors
