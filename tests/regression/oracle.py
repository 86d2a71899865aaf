"""Splits PostgreSQL's regression files into statements, and says of each what PostgreSQL's own parser makes of it.

    oracle.py FILE.sql… > statements

A line each: `read`, `write` or `refused`, a tab, the functions that it calls (with commas, and with a dot in front what may be a column),
a tab, the statement (\\n, \\t and \\\\ for what
they stand for). `read`: SELECT, VALUES, TABLE, EXPLAIN of one, SHOW or COPY … TO STDOUT, without INSERT, UPDATE, DELETE, MERGE, INTO or a
locking clause anywhere. `write`: whatever else the parser takes. Needs pglast, which is that parser (version 5 is PostgreSQL 15).
"""

import re
import sys

from pglast import ast, parse_sql, parser, visitors

READS = (ast.SelectStmt, ast.VariableShowStmt)
WRITES = (ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt, ast.MergeStmt, ast.IntoClause, ast.LockingClause)


class Looks(visitors.Visitor):
    """Looks for what writes or is called."""

    def __init__(self):
        self.writes = False
        self.functions = set()

    def visit(self, ancestors, node):
        if isinstance(node, WRITES):
            self.writes = True
        if isinstance(node, ast.FuncCall):
            self.functions.add(node.funcname[-1].sval)
        # `t.f` may be `f(t)`: which, only the catalog tells.
        if isinstance(node, (ast.ColumnRef, ast.A_Indirection)):
            fields = node.fields if isinstance(node, ast.ColumnRef) else (None, *node.indirection)
            self.functions.update("." + field.sval for field in fields[1:] if isinstance(field, ast.String))


def without_psql(text):
    """Without what is psql's: its commands, and the data behind COPY."""
    lines, in_data = [], False
    for line in text.split("\n"):
        if in_data:
            in_data = line != "\\."
            continue
        if re.match(r"\s*copy\b.*\bfrom\s+stdin\b", line, re.I) and line.rstrip().endswith(";"):
            in_data = True
        # A command ends a statement (\gset, \g) or stands for itself.
        if line.startswith("\\"):
            lines.append(";" if line.startswith(("\\g", "\\crosstab", "\\watch")) else "")
            continue
        lines.append(re.sub(r"\\(gset|gexec|gdesc|gx|g|crosstabview|parse|bind|;)\b.*$|\\;", ";", line))
    return "\n".join(lines)


def statements(text):
    """In order; a text that the scanner refuses has none."""
    text = without_psql(text)
    try:
        return parser.split(text, with_parser=False)
    except Exception:
        # Some files hold what the scanner refuses: piece by piece then.
        return [piece for piece in re.split(r";[ \t]*\n", text)]


def judged(statement):
    """`read`, `write` or `refused`, and its functions."""
    try:
        tree = parse_sql(statement)
    except Exception:
        return "refused", []
    looks = Looks()
    looks(tree)
    for raw in tree:
        node = raw.stmt
        while isinstance(node, ast.ExplainStmt):
            node = node.query
        if isinstance(node, ast.CopyStmt):
            to_client = not node.is_from and not node.is_program and node.filename is None
            looks.writes |= not to_client
        elif not isinstance(node, READS):
            looks.writes = True
    return ("write" if looks.writes else "read"), sorted(looks.functions)


def main():
    for name in sys.argv[1:]:
        with open(name, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
        for statement in statements(text):
            if not statement.strip():
                continue
            kind, functions = judged(statement)
            line = statement.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
            out = f"{kind}\t{','.join(functions)}\t{line}\n"
            sys.stdout.buffer.write(out.encode("utf-8", errors="surrogateescape"))


main()
