"""Sphinx extension: a reference page for every public module, and no build without docstrings.

The sources are read, not imported. A module is public if no part of its name begins with an
underscore, unless a package above it names what it exports (``__all__``): then the package is
public, and its modules are where the names live. Public names are functions, classes, a class's
methods and properties, and constants that a string below them describes. One without a docstring
stops the build before a page is read.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from docstrings import escaped

_PAGES = "generated"
_Definition = ast.FunctionDef | ast.ClassDef


class UndocumentedError(Exception):
    """Public names lack a docstring."""


class Source(NamedTuple):
    """A module as it is written.

    Attributes:
        name: Its dotted name.
        tree: Its syntax.
        is_package: Whether it is a package's ``__init__``.
    """

    name: str
    tree: ast.Module
    is_package: bool

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (ast.get_docstring(self.tree) or "").split("\n", 1)[0]


class Name(NamedTuple):
    """A public name.

    Attributes:
        name: The name.
        kind: The directive that documents it: ``class``, ``function`` or ``data``.
    """

    name: str
    kind: str


def setup(app: Any) -> dict[str, bool]:
    """Check the package and write its pages before Sphinx looks for them."""
    app.add_config_value("reference_package", None, "env", [str])
    app.connect("builder-inited", _prepare)
    app.connect("missing-reference", _resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _prepare(app: Any) -> None:
    package = (Path(app.srcdir) / app.config.reference_package).resolve()
    if names := undocumented(package):
        raise UndocumentedError(f"public names without a docstring: {', '.join(names)}")
    folder = Path(app.srcdir) / _PAGES
    folder.mkdir(exist_ok=True)
    written = dict(pages(package))
    for path in folder.glob("*.rst"):
        if path.name not in written:
            path.unlink()
    for name, text in written.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _resolve(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Find a name where the package above its module exports it."""
    target = f"{node.get('py:module')}.{node['reftarget']}" if "py:module" in node else ""
    for full in (node["reftarget"], target):
        parts = full.split(".")
        for depth in range(len(parts) - 2, 0, -1):
            exported = ".".join([*parts[:depth], parts[-1]])
            found = env.domains.python_domain.objects.get(exported)
            if found is not None:
                where = (env, node["refdoc"], app.builder, "obj", exported, node, content)
                return env.domains.python_domain.resolve_xref(*where)
    return None


def undocumented(package: Path) -> list[str]:
    """The public names of a package that have no docstring.

    Args:
        package: The package's folder.

    Returns:
        Dotted names, in order; empty if all is well.
    """
    sources = read(package)
    missing = []
    for source in sources.values():
        if not source.summary:
            missing.append(source.name)
        for node in _definitions(source.tree.body):
            missing += [f"{source.name}.{name}" for name in _bare(node)]
    return missing


def _bare(node: _Definition) -> Iterator[str]:
    """Yield the name of a definition, and those within a class, that lack a docstring."""
    if ast.get_docstring(node) is None:
        yield node.name
    if isinstance(node, ast.ClassDef):
        for inner in _definitions(node.body):
            if not any(ast.unparse(d).endswith(".setter") for d in inner.decorator_list):
                yield from (f"{node.name}.{name}" for name in _bare(inner))


def _definitions(body: list[ast.stmt]) -> list[_Definition]:
    return [
        node for node in body if isinstance(node, _Definition) and not node.name.startswith("_")
    ]


def read(package: Path) -> dict[str, Source]:
    """Read a package's modules; those whose names begin with an underscore are left out.

    Args:
        package: The package's folder.

    Returns:
        Dotted names to sources, in alphabetical order.
    """
    sources = {}
    for path in package.rglob("*.py"):
        parts = [package.name, *path.relative_to(package).with_suffix("").parts]
        is_package = parts[-1] == "__init__"
        parts = parts[:-1] if is_package else parts
        if not any(part.startswith("_") for part in parts):
            tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
            sources[".".join(parts)] = Source(".".join(parts), tree, is_package)
    return dict(sorted(sources.items()))


def pages(package: Path) -> Iterator[tuple[str, str]]:
    """Yield the pages of the reference.

    Args:
        package: The package's folder.

    Yields:
        The name of a file and its text: ``index.rst``, and one for each public module.
    """
    sources = read(package)
    root = package.name
    facades = [n for n, s in sources.items() if s.is_package and n != root and _exported(s.tree)]
    shown = [
        source
        for name, source in sources.items()
        if not any(name.startswith(f"{facade}.") for facade in facades)
        and (name in facades or _names(source.tree))
    ]
    for source in shown:
        make = _facade_page if source.name in facades else _module_page
        yield f"{source.name}.rst", make(source, sources)
    yield "index.rst", _index(sources, shown, root)


def _exported(tree: ast.Module) -> list[str]:
    """What ``__all__`` names."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return []


def _names(tree: ast.Module) -> list[Name]:
    """The public names that a module defines, in the order of its lines."""
    names = []
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.append(Name(node.name, "class" if isinstance(node, ast.ClassDef) else "function"))
        elif isinstance(node, ast.Assign | ast.AnnAssign) and _is_text(after):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            names.append(Name(ast.unparse(target), "data"))
    return [name for name in names if not name.name.startswith("_")]


def _is_text(node: ast.stmt | None) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _module_page(source: Source, _sources: dict[str, Source]) -> str:
    """The page of a module that defines its names itself."""
    return (
        _heading(source.name, "=")
        + _docstring(source.name)
        + _members(source.name, _names(source.tree))
    )


def _facade_page(source: Source, sources: dict[str, Source]) -> str:
    """The page of a package that exports names: a section for each module they come from."""
    exported = set(_exported(source.tree))
    text = _heading(source.name, "=") + _docstring(source.name)
    for node in source.tree.body:
        if isinstance(node, ast.ImportFrom) and node.module in sources:
            home = sources[node.module]
            taken = exported & {alias.name for alias in node.names}
            names = [name for name in _names(home.tree) if name.name in taken]
            text += _heading(escaped(home.summary.rstrip(".")), "-")
            is_shadowed = home.name.rsplit(".", 1)[1] in exported
            text += _docstring(home.name, indexed=not is_shadowed)
            text += _members(source.name, names)
    return text


def _index(sources: dict[str, Source], shown: list[Source], root: str) -> str:
    """The page that lists the others: first the modules at the top, then package by package."""
    groups: dict[str, list[Source]] = {root: []}
    for source in shown:
        parts = source.name.split(".")
        home = ".".join(parts[:2]) if len(parts) > 2 else root
        groups.setdefault(home, []).append(source)
    text = _heading("API reference", "=")
    for home, members in groups.items():
        text += _heading(home, "-") + f".. module:: {home}\n\n{escaped(sources[home].summary)}\n\n"
        text += ".. list-table::\n   :widths: 30 70\n   :class: modules\n\n"
        for source in members:
            text += f"   * - :doc:`{source.name} <{source.name}>`\n"
            text += f"     - {escaped(source.summary)}\n"
        text += "\n"
    listed = "".join(f"   {s.name.removeprefix(f'{root}.')} <{s.name}>\n" for s in shown)
    return f"{text}.. toctree::\n   :hidden:\n\n{listed}"


def _heading(title: str, sign: str) -> str:
    return f"{title}\n{sign * len(title)}\n\n"


def _docstring(module: str, *, indexed: bool = True) -> str:
    option = "" if indexed else "   :no-index:\n"
    return f".. automodule:: {module}\n   :no-members:\n{option}\n"


def _members(module: str, names: list[Name]) -> str:
    """A table of functions and classes, then every name."""
    listed = "".join(f"   {name.name}\n" for name in names if name.kind != "data")
    table = f".. autosummary::\n\n{listed}\n" if listed else ""
    directives = "".join(f".. auto{name.kind}:: {name.name}\n\n" for name in names)
    return f".. currentmodule:: {module}\n\n{table}{directives}"
