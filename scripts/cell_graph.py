"""Which cells of a notebook a check needs: found by the names that each cell binds and uses.

A check is a cell that can fail: it holds an assert, or calls a function whose name says so
(`record.check`, `datasets.require_disjoint`). It needs the cells that bind or change the names it
uses, these cells' own needs, and so on. What the names do not show, a catalogue says (`needs`).
"""

from __future__ import annotations

import ast
import functools
import symtable
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from scripts.notebook_files import tags

ALWAYS = {"imports", "settings"}
"""Tags of the cells that every check needs."""

TRAINING = "training"
"""Tag of long training whose result released weights replace: no check needs it."""

CHANGERS = {
    "adapt", "apply", "assign", "compile", "fit", "load_weights", "minimize", "restore",
    "set_weights", "train_on_batch", "train_step",
}  # fmt: skip
"""These calls change a model: the object before the dot, or an argument of a function."""


@dataclass(frozen=True)
class Cell:
    """A code cell and its names in the notebook's namespace.

    binds: given a value here, whatever they were before; changes: perhaps altered in place;
    uses: read here, also inside functions, and not bound here.
    """

    index: int
    code: str
    tags: frozenset[str]
    binds: frozenset[str]
    changes: frozenset[str]
    uses: frozenset[str]
    is_check: bool


def code_cells(notebook: Any) -> list[Cell]:
    """The code cells of a notebook, in order."""
    cells = []
    changers, fixed, variables = set(CHANGERS), set[str](), set[str]()
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        changers |= _functions_that_call(cell.source, changers)
        names = _names_in(cell.source, frozenset(changers), frozenset(fixed))
        fixed |= names.definitions
        variables |= {name for name in names.stored if not name.isupper()}
        binds = names.binds | names.definitions
        read = _read_in(cell.source)
        cells.append(
            Cell(
                index,
                cell.source,
                frozenset(tags(cell)),
                frozenset(binds),
                frozenset((names.changes & (variables - fixed)) - binds),
                frozenset(read - binds),
                names.is_check,
            )
        )
    return cells


def needed(cells: Sequence[Cell], check: Cell, also: Collection[int] = ()) -> set[int]:
    """Indices of the cells that must run for `check`, its own among them, and those of `also`."""
    wanted: set[str] = set()
    found: set[int] = set()
    for cell in reversed(cells):
        if cell.index > check.index:
            continue
        named = bool((cell.binds | cell.changes) & wanted) and TRAINING not in cell.tags
        if cell is check or named or cell.tags & ALWAYS or cell.index in also:
            found.add(cell.index)
            wanted = (wanted - cell.binds) | cell.uses
    return found


def checks_of(cells: Sequence[Cell], planted: int, also: Collection[int] = ()) -> list[set[int]]:
    """For each check that hangs on cell `planted`, in order: indices of the cells that it needs."""
    checks = [
        needed(cells, cell, also)
        for cell in cells
        if cell.is_check and cell.index >= planted and TRAINING not in cell.tags
    ]
    return [indices for indices in checks if planted in indices]


@dataclass
class _Names(ast.NodeVisitor):
    """Collects names from the statements of a cell, those inside its functions left out.

    changers: names of calls that change something; fixed: imports, functions and classes so far.
    """

    changers: frozenset[str]
    fixed: frozenset[str]
    binds: set[str] = field(default_factory=set)
    stored: set[str] = field(default_factory=set)
    definitions: set[str] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)
    loops: list[tuple[set[str], set[str]]] = field(default_factory=list)
    is_check: bool = False
    branches: int = 0

    def read(self, tree: ast.Module) -> None:
        """Collect the names of a cell."""
        self.visit(tree)
        for targets, items in reversed(self.loops):  # a changed loop variable is one of the items
            if targets & self.changes:
                self.changes |= items

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.ClassDef) -> None:
        self.definitions.add(node.name)

    visit_ClassDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        pass

    def visit_alias(self, node: ast.alias) -> None:
        self.definitions.add((node.asname or node.name).split(".")[0])

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self.loops.append((_names(node.target, ast.Store), _names(node.iter, ast.Load)))
        for part in [node.iter, *node.ifs]:  # the target is a name of its own
            self.visit(part)

    def visit_For(self, node: ast.For) -> None:
        self.loops.append((_names(node.target, ast.Store), _names(node.iter, ast.Load)))
        self.generic_visit(node)

    def visit_If(self, node: ast.AST) -> None:
        self.branches += 1
        self.generic_visit(node)
        self.branches -= 1

    visit_Try = visit_While = visit_If

    def visit_Assert(self, node: ast.Assert) -> None:
        self.is_check = True
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        # `x = x + 1` needs the x of before
        before = _names(node.value, ast.Load)
        again = {name for target in node.targets for name in _names(target, ast.Store)} & before
        self.binds -= again
        self.changes |= again

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.changes |= _names(node.target, ast.Store)
        self.visit(node.value)

    def visit_Attribute(self, node: ast.Attribute | ast.Subscript) -> None:
        if isinstance(node.ctx, ast.Store | ast.Del):
            self.changes |= _names(node.value, ast.Load)
        self.generic_visit(node)

    visit_Subscript = visit_Attribute

    def visit_Call(self, node: ast.Call) -> None:
        name = _called(node)
        self.is_check |= name == "check" or name.startswith("require_")
        if name in self.changers:
            owner = node.func.value if isinstance(node.func, ast.Attribute) else node.func
            self.changes |= _names(owner, ast.Load)
            # A function of the notebook or of a module; a method changes its own object
            if isinstance(owner, ast.Name) and owner.id in self.fixed | self.definitions:
                for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
                    self.changes |= _names(argument, ast.Load)
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        # `rows.append(1)`: what drops its result was called for what it changes
        if isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
            self.changes |= _names(node.value.func.value, ast.Load)
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.stored.add(node.id)
            (self.changes if self.branches else self.binds).add(node.id)


def _names(node: ast.AST, kind: type) -> set[str]:
    return {
        part.id
        for part in ast.walk(node)
        if isinstance(part, ast.Name) and isinstance(part.ctx, kind)
    }


def _called(node: ast.Call) -> str:
    """The last part of a called name: `restore` for weights.restore(...)."""
    called = node.func
    if isinstance(called, ast.Attribute):
        return called.attr
    return called.id if isinstance(called, ast.Name) else ""


def _functions_that_call(code: str, changers: set[str]) -> set[str]:
    """Functions and methods of a cell that call a changer, so that they are changers themselves."""
    found = {name for name, called in _calls_in(code) if called & changers}
    return found - {"__init__", "call"}


# The same cells are read again and again, once for each slip that is planted in one of them


@functools.cache
def _calls_in(code: str) -> list[tuple[str, set[str]]]:
    """The functions and methods of a cell, each with the names that it calls."""
    functions = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef)]
    return [
        (each.name, {_called(node) for node in ast.walk(each) if isinstance(node, ast.Call)})
        for each in functions
    ]


@functools.cache
def _names_in(code: str, changers: frozenset[str], fixed: frozenset[str]) -> _Names:
    """The names of a cell; not to be changed."""
    names = _Names(changers, fixed)
    names.read(ast.parse(code))
    return names


@functools.cache
def _read_in(code: str) -> set[str]:
    """The names that a cell reads; not to be changed."""
    return _read(symtable.symtable(code, "cell", "exec"))


def _read(table: symtable.SymbolTable) -> set[str]:
    """Names of the notebook's namespace that this piece of code reads, inner functions included."""
    at_top = table.get_type() == "module"
    own = {
        symbol.get_name()
        for symbol in table.get_symbols()
        if symbol.is_referenced() and (at_top or symbol.is_global())
    }
    return own.union(*(_read(child) for child in table.get_children()))
