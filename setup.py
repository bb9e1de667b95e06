"""The compiled part of the build: one extension, from one binding and every C source. The rest is in pyproject.toml.

No flag names a processor: each file in src_c/isa opens a target region of its own, and the choice is made at run time.
Multiply-adds are fused where the source says so and nowhere else (-ffp-contract=off), so that rounding is the source's
decision. Never add -ffast-math: linking with it switches the whole process to flush-to-zero.
"""

from glob import glob
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import CompileError

CFLAGS = ["-std=gnu11", "-O2", "-g0", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden", "-pthread"]
CFLAGS += ["-fno-asynchronous-unwind-tables"]  # no exception passes through; they were 3 % of the file

# All that -O3 adds makes the file 40 kB larger. This much of it takes 4 % off few units, 10 with a mask.
# src_c/isa/avx2.c needs the rest, too. Room before what is jumped to makes nothing faster, and takes 8 kB.
LOOPS = ["-fsplit-loops", "-ftree-vectorize", "-fvect-cost-model=dynamic", "-fno-align-jumps"]

# What gcc does to clear or copy a struct of a hundred bytes, `rep stos`, takes longer than a step of a few units. Other
# compilers, and gcc for other processors, do not know these flags and do not need them.
STRUCTS = [f"-m{what}-strategy=vector_loop:512:noalign,libcall:-1:noalign" for what in ("memset", "memcpy")]

# Left to itself, gcc for x86 keeps pointers in vector registers, where they wait behind all multiply-adds that are
# on their way.
POINTERS = ["-mtune-ctrl=^inter_unit_moves_from_vec"]


class BuildExt(build_ext):
    """Adds the flags that only some compilers know."""

    def build_extensions(self):
        for flags in filter(self._knows, (LOOPS, STRUCTS, POINTERS)):
            for extension in self.extensions:
                extension.extra_compile_args += flags
        super().build_extensions()

    def _knows(self, flags):
        with TemporaryDirectory() as folder:
            empty = Path(folder, "empty.c")
            empty.touch()
            try:
                self.compiler.compile([str(empty)], output_dir=folder, extra_postargs=flags)
            except CompileError:
                return False
        return True


class BuildPy(build_py):
    """Also install the public header as fastrnn/include/fastrnn.h; an editable install reads it where it stands."""

    @property
    def _header(self):
        return Path(self.build_lib, "fastrnn", "include", "fastrnn.h")

    def run(self):
        super().run()
        if not self.editable_mode:
            self.mkpath(str(self._header.parent))
            self.copy_file("src_c/fastrnn.h", str(self._header))

    def get_outputs(self, include_bytecode=True):
        return [*super().get_outputs(include_bytecode), str(self._header)]


core = Extension(
    "fastrnn._core",
    sources=["fastrnn/_core.pyx", *sorted(glob("src_c/**/*.c", recursive=True))],
    depends=sorted(glob("src_c/**/*.h", recursive=True) + glob("fastrnn/*.px[di]")),
    include_dirs=["src_c", np.get_include()],
    extra_compile_args=CFLAGS,
    extra_link_args=["-pthread", "-s"],
)

setup(
    ext_modules=[core],
    cmdclass={"build_ext": BuildExt, "build_py": BuildPy},
    options={"build_ext": {"cython_c_in_temp": True}},
)
