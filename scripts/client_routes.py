"""Write the client's typed methods and shapes from the API's OpenAPI document; `--check` compares instead.

    python scripts/client_routes.py [--check]

What the server answers and what the client promises cannot drift apart: `make check` runs the comparison.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ledger.api.app import make_app
from ledger.workspace import Workspace

FOLDER = Path(__file__).parent.parent / "ledger" / "client"
WORDS = {"string": "str", "integer": "int", "boolean": "bool", "null": "None", "number": "float"}
REFERENCE = "#/components/schemas/"
PAGING = ("cursor", "limit")
HEADER = '"""{what}\n\nWritten by scripts/client_routes.py from the API\'s OpenAPI document; not by hand.\n"""\n\n'


def document() -> dict[str, Any]:
    """The API's own description of itself."""
    place: Workspace = SimpleNamespace(root=Path())  # type: ignore[assignment] # describing opens nothing
    return make_app(place).openapi()


def named(schema_name: str) -> str:
    """A schema's name as a class name."""
    return re.sub(r"\W", "", schema_name)


def type_of(schema: dict[str, Any]) -> str:
    """A JSON schema as a Python type."""
    if "$ref" in schema:
        return named(schema["$ref"].removeprefix(REFERENCE))
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(type_of(each) for each in schema["anyOf"]))
    if "enum" in schema:
        return f"Literal[{', '.join(map(repr, schema['enum']))}]"
    if "const" in schema:
        return f"Literal[{schema['const']!r}]"
    match schema.get("type"):
        case "array":
            return f"list[{type_of(schema.get('items', {}))}]"
        case "object":
            inner = schema.get("additionalProperties")
            return f"dict[str, {type_of(inner) if isinstance(inner, dict) else 'Any'}]"
        case str(word):
            return WORDS[word]
    return "Any"


def shapes(schemas: dict[str, Any]) -> Iterator[str]:
    """A TypedDict or an alias for every schema that is no envelope."""
    yield HEADER.format(what="The shapes of the API's answers, as typed dictionaries.")
    yield "from typing import Any, Literal, TypedDict\n"
    aliases, classes = [], []
    for name, schema in sorted(schemas.items()):
        if name.startswith(("Fact_", "Listing_")):
            continue
        if "properties" not in schema:
            aliases.append(f"{named(name)} = {type_of(schema)}\n")
            continue
        members = {member: type_of(part) for member, part in schema["properties"].items()}
        lines = ", ".join(f"{member!r}: {quoted(kind)}" for member, kind in members.items())
        if all(member.isidentifier() for member in members) and not {"from", "class"} & members.keys():
            body = "".join(f"    {member}: {quoted(kind)}\n" for member, kind in members.items())
            classes.append(f"\n\nclass {named(name)}(TypedDict):\n{docstring(schema)}{body or '    pass'}")
        else:
            classes.append(f"\n\n{named(name)} = TypedDict({named(name)!r}, {{{lines}}})\n")
    yield from aliases
    yield from classes


def quoted(kind: str) -> str:
    """A type as an annotation that may be used before it is defined."""
    return f'"{kind}"' if re.search(r"\b(?!Any\b|Literal\b|None\b)[A-Z]\w+", kind) else kind


def docstring(schema: dict[str, Any]) -> str:
    text = " ".join(str(schema.get("description", "")).split())
    return f'    """{text}"""\n\n' if text else ""


def routes(paths: dict[str, Any]) -> Iterator[str]:
    """A method for every question; lists without their CSV twins, which are for spreadsheets."""
    used: set[str] = set()
    methods = []
    for path, operations in paths.items():
        operation = operations.get("get")
        if operation is None or not path.startswith("/v1/") or path.endswith((".csv", ".md")):
            continue
        envelope = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
        envelope, shape = enveloped(envelope.removeprefix(REFERENCE))
        methods.append(method(path, operation, envelope, shape))
        used.add(shape)
    yield HEADER.format(what="Every question of the API as a typed method.")
    yield "from urllib.parse import quote\n\n"
    yield f"from ledger.client.shapes import {', '.join(sorted(used))}\n"
    yield "from ledger.client.transport import Fact, Pages, Transport\n\n\n"
    yield 'class Routes:\n    """The questions, asked through a transport."""\n\n'
    yield "    def __init__(self, transport: Transport) -> None:\n        self._transport = transport\n"
    yield from methods


def enveloped(schema_name: str) -> tuple[str, str]:
    """What an answer comes in, and its shape: `Fact_Operator_` is a fact about an operator; a report is itself."""
    found = re.fullmatch(r"(Fact|Listing)_(\w+?)_", schema_name)
    return (found[1], named(found[2])) if found else ("", named(schema_name))


def method(path: str, operation: dict[str, Any], envelope: str, shape: str) -> str:
    given = [each for each in operation.get("parameters", []) if each["name"] not in PAGING]
    inside = [each for each in given if each["in"] == "path"]
    asked = [each for each in given if each["in"] == "query"]
    positional = "".join(f", {name(each)}: {simple(each)}" for each in inside)
    keywords = ", *" if asked else ""
    for each in asked:
        keywords += f", {name(each)}: {simple(each)}" + ("" if each.get("required") else " | None = None")
    template = re.sub(r"\{(\w+)\}", r"{quote(str(\1), safe='')}", path)
    where = f"f{template!r}" if inside else repr(template)
    parameters = ", ".join(f"{each['name']!r}: {name(each)}" for each in asked)
    ways = {"Fact": (f"Fact[{shape}]", "fact"), "Listing": (f"Pages[{shape}]", "pages"), "": (shape, "document")}
    returned, verb = ways[envelope]
    title = operation["operationId"]
    text = " ".join(operation.get("summary", "").split())
    asking = f"self._transport.{verb}({where}, {{{parameters}}})"
    answer = f"        return {asking}\n"
    if not envelope:
        answer = f"        found: {shape} = {asking}\n        return found\n"
    return f'\n    def {title}(self{positional}{keywords}) -> {returned}:\n        """{text}"""\n{answer}'


def name(parameter: dict[str, Any]) -> str:
    found: str = parameter["name"]
    return f"{found}_" if found in {"from", "schema"} else found


def simple(parameter: dict[str, Any]) -> str:
    """A parameter's type: a whole number or a text."""
    schema = parameter["schema"]
    kinds = {each.get("type") for each in schema.get("anyOf", [schema])}
    return "int" if "integer" in kinds else "str"


def formatted(parts: Iterator[str]) -> str:
    ruff = [sys.executable, "-m", "ruff"]
    checked = subprocess.run(
        [*ruff, "check", "--quiet", "--fix-only", "--stdin-filename", "ledger/client/routes.py", "-"],
        input="".join(parts), capture_output=True, text=True, check=True,
    )  # fmt: skip
    done = subprocess.run([*ruff, "format", "-"], input=checked.stdout, capture_output=True, text=True, check=True)
    return done.stdout


def main() -> int:
    api = document()
    files = {
        FOLDER / "shapes.py": formatted(shapes(api["components"]["schemas"])),
        FOLDER / "routes.py": formatted(routes(api["paths"])),
    }
    if "--check" in sys.argv[1:]:
        stale = [file.name for file, text in files.items() if not file.is_file() or file.read_text("utf-8") != text]
        if stale:
            print(f"{', '.join(stale)} is not what the API describes. Next: python scripts/client_routes.py")
        return 1 if stale else 0
    for file, text in files.items():
        file.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
