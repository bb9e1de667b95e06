from setuptools import Extension, setup

import fastrnn

setup(
    name="downstream",
    ext_modules=[Extension("downstream", ["downstream.pyx"], include_dirs=[fastrnn.get_include()])],
)
