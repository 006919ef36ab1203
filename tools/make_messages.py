"""
Build ROS 2 message packages into the environment that runs this, without ament or CMake.

    python tools/make_messages.py DEFINITIONS      DEFINITIONS/<package>/msg/<Name>.msg

PyPI has rclpy and the common messages, but not tf2_msgs and others of the world around them.
The generators, their templates, and the headers, libraries and type hashes of the messages that
are referred to lie in the wheels already: with gcc, g++ and Python's headers that is enough for
rclpy on Fast DDS. Libraries get the names that ament gives them. Nothing is made for C++ nodes,
no services, no actions. A package that can be imported already is left alone. A package may
refer to one that comes before it in the alphabet.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import rosidl_generator_c
import rosidl_generator_py
import rosidl_typesupport_c
import rosidl_typesupport_fastrtps_c
import rosidl_typesupport_introspection_c
from rosidl_adapter.msg import convert_msg_to_idl
from rosidl_cli.command.helpers import generate_visibility_control_file
from rosidl_generator_type_description import generate_type_hash

PREFIX = Path(sys.prefix)
SHARE, INCLUDE, LIB = PREFIX / 'share', PREFIX / 'include', PREFIX / 'lib'
SITE_PACKAGES = Path(sysconfig.get_path('platlib'))
DESCRIPTION = 'rosidl_generator_type_description'
# rmw_fastrtps asks for the second one too, for its discovery.
IMPLEMENTATIONS = ['rosidl_typesupport_fastrtps_c', 'rosidl_typesupport_introspection_c']
# What becomes a library of its own, in the order in which they are linked to each other.
GENERATORS: dict[str, Callable[[str], object]] = {
    'rosidl_generator_c': rosidl_generator_c.generate_c,
    'rosidl_typesupport_fastrtps_c': rosidl_typesupport_fastrtps_c.generate_typesupport_fastrtps_c,
    'rosidl_typesupport_introspection_c': rosidl_typesupport_introspection_c.generate_c,
    'rosidl_typesupport_c': lambda path: rosidl_typesupport_c.generate_c(path, IMPLEMENTATIONS),
    'rosidl_generator_py': lambda path: rosidl_generator_py.generate_py(
        path, ['rosidl_typesupport_c']
    ),
}
RUNTIME = ['rosidl_runtime_c', 'rosidl_typesupport_c', *IMPLEMENTATIONS]
COMMON = [*RUNTIME, 'fastcdr', 'rmw', 'rcutils']


def main() -> None:
    """Build and install every package of a folder that is not there yet."""
    definitions = Path(sys.argv[1]).resolve()
    for source in sorted(path.parent for path in definitions.glob('*/msg')):
        if is_there(source.name):
            continue
        with tempfile.TemporaryDirectory() as folder:
            package = Package(source, Path(folder).resolve())
            package.generate()
            package.compile()
            package.install()


def is_there(package: str) -> bool:
    """Return whether a package is installed to its end: its modules are what comes last."""
    if importlib.util.find_spec(package) is None:
        return False
    return importlib.util.find_spec(f'{package}.msg') is not None


class Package:
    """
    One message package on its way from definitions to an installed package.

    Args:
        source: folder of the package, with its definitions in ``msg``.
        build: empty folder; ``build/<generator>/<package>/msg`` takes what is generated.
    """

    def __init__(self, source: Path, build: Path) -> None:
        self.name = source.name
        self._source = source
        self._build = build
        self._messages = sorted(path.stem for path in (source / 'msg').glob('*.msg'))
        self._described = build / DESCRIPTION / self.name

    def generate(self) -> None:
        """Generate the descriptions with their hashes, C, C++ and Python."""
        with contextlib.redirect_stdout(io.StringIO()):  # it tells every file it writes
            for name in self._messages:
                message = Path(f'msg/{name}.msg')
                convert_msg_to_idl(self._source, self.name, message, self._described / 'msg')
        # The idl files of other packages lie beside json files with their hashes.
        others = [f'{path.name}:{path}' for path in SHARE.iterdir() if (path / 'msg').is_dir()]
        generate_type_hash(self._arguments(DESCRIPTION, include_paths=others))
        for generator, function in GENERATORS.items():
            more = self._hashes() if generator == 'rosidl_generator_c' else {}
            function(self._arguments(generator, **more))
            self._generate_visibility(generator)
        (self._build / 'rosidl_generator_py' / self.name / '__init__.py').touch()

    def compile(self) -> None:
        """Compile what was generated, and link one library for each generator."""
        sources = {generator: self._sources(generator) for generator in GENERATORS}
        # The entry point of the extension module; the rest of its generator is a library.
        entry = self._build / 'rosidl_generator_py' / self.name
        entry /= f'_{self.name}_s.ep.rosidl_typesupport_c.c'
        sources['rosidl_generator_py'].remove(entry)
        used = self._used_packages(path for paths in sources.values() for path in paths)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = {
                generator: list(pool.map(self._compile_one, paths))
                for generator, paths in sources.items()
            }
        own: list[str] = []
        for generator in GENERATORS:
            kinds = ('rosidl_generator_c', generator)
            others = [f'{name}__{kind}' for name in used for kind in kinds]
            output = LIB / f'lib{self.name}__{generator}.so'
            link(output, objects[generator], [*own, *others, *COMMON])
            own.append(f'{self.name}__{generator}')
        module = SITE_PACKAGES / self.name / f'{self.name}_s__rosidl_typesupport_c.so'
        link(module, [self._compile_one(entry)], [*own, *COMMON])

    def install(self) -> None:
        """Copy descriptions, headers and the Python modules, and enter it into the index."""
        for generator, suffixes, to in self._installed():
            for path in (self._build / generator / self.name).rglob('*'):
                if path.suffix in suffixes:
                    target = to / path.relative_to(self._build / generator)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(path.read_bytes())
        marker = SHARE / 'ament_index/resource_index/packages' / self.name
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()

    def _installed(self) -> Iterator[tuple[str, tuple[str, ...], Path]]:
        """Yield generators, what is installed of them, and where; what is imported comes last."""
        yield DESCRIPTION, ('.idl', '.json'), SHARE
        for generator in GENERATORS:
            yield generator, ('.h',), INCLUDE / self.name
        yield 'rosidl_generator_py', ('.py',), SITE_PACKAGES

    def _arguments(self, generator: str, **more: object) -> str:
        """Write a generator's arguments; return the path of the file."""
        path = self._build / f'{generator}.json'
        arguments = {
            'package_name': self.name,
            'output_dir': str(self._build / generator / self.name),
            'template_dir': str(SHARE / generator / 'resource'),
            'idl_tuples': [f'{self._described}:msg/{name}.idl' for name in self._messages],
            'target_dependencies': [],
        }
        path.write_text(json.dumps({**arguments, **more}))
        return str(path)

    def _hashes(self) -> dict[str, object]:
        where, names = self._described, self._messages
        return {
            'type_description_tuples': [f'msg/{n}.idl:{where}/msg/{n}.json' for n in names],
            'ros_interface_files': [str(self._source / f'msg/{n}.msg') for n in names],
        }

    def _generate_visibility(self, generator: str) -> None:
        name = f'{generator}__visibility_control.h'
        template = SHARE / generator / 'resource' / f'{name}.in'
        if template.exists():
            generate_visibility_control_file(
                package_name=self.name,
                template_path=template,
                output_path=self._build / generator / self.name / 'msg' / name,
            )

    def _sources(self, generator: str) -> list[Path]:
        paths = (self._build / generator / self.name).rglob('*')
        return sorted(path for path in paths if path.suffix in ('.c', '.cpp'))

    def _used_packages(self, sources: Iterable[Path]) -> list[str]:
        text = ''.join(path.read_text() for path in sources)
        return sorted(set(re.findall(r'(\w+?)__msg__', text)) - {self.name})

    def _compile_one(self, source: Path) -> Path:
        is_cpp = source.suffix == '.cpp'
        compiler = ['g++', '-std=c++17'] if is_cpp else ['gcc', '-std=gnu11']
        folders = [
            *(self._build / generator for generator in GENERATORS),
            INCLUDE,
            *(path for path in INCLUDE.iterdir() if path.is_dir()),
            sysconfig.get_path('include'),
            numpy.get_include(),
        ]
        includes = [f'-I{path}' for path in folders]
        output = Path(f'{source}.o')
        run(*compiler, '-O2', '-fPIC', '-w', *includes, '-c', source, '-o', output)
        return output


def link(output: Path, objects: list[Path], libraries: list[str]) -> None:
    """Link a library that finds others in the environment, wherever that lies."""
    output.parent.mkdir(parents=True, exist_ok=True)
    there = [f'-l{name}' for name in libraries if (LIB / f'lib{name}.so').exists()]
    origin = os.path.relpath(LIB, output.parent)
    flags = [f'-L{LIB}', '-Wl,--as-needed', *there, f'-Wl,-rpath,$ORIGIN/{origin}']
    run('g++', '-shared', '-o', output, *objects, *flags)


def run(*command: str | Path) -> None:
    """Run a compiler."""
    subprocess.run(command, check=True)


if __name__ == '__main__':
    main()
