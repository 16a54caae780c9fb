"""The database's own refusal to change what never changes: every guard, for both engines, as data.

Guards stop accidents and defects, not the owner of the database; against that the books' head goes on
chain. Migrations install them, start-up compares them word by word.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, MetaData, Table, UniqueConstraint, inspect, text

from ledger.db import tables  # noqa: F401 - fills the metadata
from ledger.db.errors import APPEND_ONLY_MARK, DUPLICATE_MARK, GuardsChangedError
from ledger.db.schema import Base, Gapless

PREFIX: Final = "guard_"
"""Every trigger and function of ours starts with it, and nothing else does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertRule:
    """A condition on a new row (SQL that both engines read; `{zero}` is 32 zero bytes) under which it is refused."""

    table: str
    refused_when: str
    reason: str


CHAIN_LINKS: Final = InsertRule(
    table="journal_entries",
    refused_when=(
        "NEW.previous_hash <> COALESCE((SELECT hash FROM journal_entries WHERE chain = NEW.chain"
        " ORDER BY number DESC LIMIT 1), {zero})"
    ),
    reason="an entry links to the last one of its chain",
)
LINES_OF_LAST_ENTRY: Final = InsertRule(
    table="transfers",
    # the count is hashed, and lines 0 … count-1 are unique: a complete entry has no room for one more
    refused_when=(
        "NEW.entry_seq <> (SELECT MAX(seq) FROM journal_entries)"
        " OR NEW.line_no >= (SELECT transfer_count FROM journal_entries WHERE seq = NEW.entry_seq)"
    ),
    reason="transfers belong to the last entry and are as many as it says",
)
_SPECIAL_RULES: Final = (CHAIN_LINKS, LINES_OF_LAST_ENTRY)

# pg_trigger.tgtype bits
_ROW, _BEFORE, _INSERT, _DELETE, _UPDATE, _TRUNCATE = 1, 2, 4, 8, 16, 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteTrigger:
    """One trigger, exactly as `sqlite_master` shows it."""

    name: str
    ddl: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresTrigger:
    """One trigger on PostgreSQL with the function it calls."""

    name: str
    table: str
    event: str
    kind: int
    """pg_trigger.tgtype."""
    function: str
    body: str
    """The function's source, exactly as `pg_proc` shows it."""


def protected_tables(metadata: MetaData = Base.metadata) -> list[Table]:
    """The append-only tables, by name."""
    return sorted((table for table in metadata.tables.values() if table.info.get("append_only")), key=lambda t: t.name)


def insert_rules(table: Table) -> list[InsertRule]:
    """Under which conditions a new row of this table is refused."""
    gapless: tuple[Gapless, ...] = table.info["gapless"]
    counting = [
        InsertRule(
            table=table.name,
            refused_when=(
                f"NEW.{rule.column} <> (SELECT COALESCE(MAX({rule.column}) + 1, {rule.first}) FROM {table.name}"  # noqa: S608 - our own names
                + (" WHERE " + " AND ".join(f"{name} = NEW.{name}" for name in rule.within) if rule.within else "")
                + ")"
            ),
            reason=f"{rule.column} counts without gaps",
        )
        for rule in gapless
    ]
    return counting + [rule for rule in _SPECIAL_RULES if rule.table == table.name]


def sqlite_triggers(table: Table) -> list[SqliteTrigger]:
    """All guards of one table on SQLite, which has no TRUNCATE but has INSERT OR REPLACE."""
    triggers = [
        _sqlite_trigger(table, "update", "UPDATE", None, f"{APPEND_ONLY_MARK}{table.name} is never updated"),
        _sqlite_trigger(table, "delete", "DELETE", None, f"{APPEND_ONLY_MARK}nothing is deleted from {table.name}"),
    ]
    for number, columns in enumerate(_unique_keys(table)):
        # REPLACE deletes without a DELETE trigger unless the connection asked for recursive triggers
        same = " AND ".join(f"{column} = NEW.{column}" for column in columns)
        condition = f"EXISTS (SELECT 1 FROM {table.name} WHERE {same})"  # noqa: S608 - our own names
        message = f"{DUPLICATE_MARK}{table.name} already has this {', '.join(columns)}"
        triggers.append(_sqlite_trigger(table, f"replace_{number}", "INSERT", condition, message))
    for number, rule in enumerate(insert_rules(table)):
        condition = rule.refused_when.format(zero=f"X'{'00' * 32}'")
        message = f"{APPEND_ONLY_MARK}{table.name}: {rule.reason}"
        triggers.append(_sqlite_trigger(table, f"insert_{number}", "INSERT", condition, message))
    return triggers


def postgres_triggers(table: Table) -> list[PostgresTrigger]:
    """All guards of one table on PostgreSQL, where REPLACE does not exist and ON CONFLICT is an update."""
    frozen = f"{PREFIX}append_only"
    triggers = [
        PostgresTrigger(
            name=f"{PREFIX}{table.name}_change", table=table.name, event="BEFORE DELETE OR UPDATE",
            kind=_ROW | _BEFORE | _DELETE | _UPDATE, function=frozen, body=_REFUSE_CHANGE,
        ),
        PostgresTrigger(
            name=f"{PREFIX}{table.name}_truncate", table=table.name, event="BEFORE TRUNCATE",
            kind=_BEFORE | _TRUNCATE, function=frozen, body=_REFUSE_CHANGE,
        ),
    ]  # fmt: skip
    rules = insert_rules(table)
    if rules:
        checks = "".join(
            f"  IF {rule.refused_when.format(zero=_POSTGRES_ZERO)} THEN\n"
            f"    RAISE EXCEPTION '{APPEND_ONLY_MARK}{table.name}: {rule.reason}' USING ERRCODE = 'check_violation';\n"
            "  END IF;\n"
            for rule in rules
        )
        name = f"{PREFIX}{table.name}_insert"
        triggers.append(
            PostgresTrigger(
                name=name, table=table.name, event="BEFORE INSERT",
                kind=_ROW | _BEFORE | _INSERT, function=name, body=f"\nBEGIN\n{checks}  RETURN NEW;\nEND;\n",
            )
        )  # fmt: skip
    return triggers


def install_guards(connection: Connection) -> None:
    """Put exactly this version's guards on every protected table that exists, replacing all older ones."""
    remove_guards(connection)
    present = set(inspect(connection).get_table_names())
    protected = [table for table in protected_tables() if table.name in present]
    _ENGINES[connection.dialect.name].install(connection, protected)


def remove_guards(connection: Connection) -> None:
    """Take all guards off, for the length of a migration; `install_guards` puts them back in the same transaction."""
    _ENGINES[connection.dialect.name].remove(connection)


def check_guards(connection: Connection) -> None:
    """Raise GuardsChangedError unless the database's guards are exactly this version's."""
    differences = list(_ENGINES[connection.dialect.name].differences(connection, protected_tables()))
    if differences:
        raise GuardsChangedError(f"{len(differences)} guards differ: {'; '.join(differences[:5])}")


def _unique_keys(table: Table) -> Iterator[tuple[str, ...]]:
    yield tuple(column.name for column in table.primary_key.columns)
    # constraints is a set: sort, or two runs would write two different DDLs
    uniques = (constraint for constraint in table.constraints if isinstance(constraint, UniqueConstraint))
    yield from sorted(tuple(column.name for column in unique.columns) for unique in uniques)


def _sqlite_trigger(table: Table, what: str, event: str, condition: str | None, message: str) -> SqliteTrigger:
    name = f"{PREFIX}{table.name}_{what}"
    when = f" WHEN {condition}" if condition else ""
    ddl = f"CREATE TRIGGER {name} BEFORE {event} ON {table.name}{when} BEGIN SELECT RAISE(ABORT, '{message}'); END"
    return SqliteTrigger(name=name, ddl=ddl)


def _sqlite_install(connection: Connection, protected: list[Table]) -> None:
    for table in protected:
        for trigger in sqlite_triggers(table):
            connection.exec_driver_sql(trigger.ddl)


def _sqlite_remove(connection: Connection) -> None:
    for name in sorted(_sqlite_found(connection)):
        if name.startswith(PREFIX):
            connection.exec_driver_sql(f'DROP TRIGGER "{name}"')


def _sqlite_found(connection: Connection) -> dict[str, str]:
    """Every trigger of the database, ours or not: a foreign one on a protected table could change what is written."""
    rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
    return {row.name: row.sql for row in rows}


def _sqlite_differences(connection: Connection, protected: list[Table]) -> Iterator[str]:
    expected = {trigger.name: trigger.ddl for table in protected for trigger in sqlite_triggers(table)}
    yield from _compare(expected, _sqlite_found(connection))


_POSTGRES_ZERO: Final = f"decode('{'00' * 32}', 'hex')"


# no percent sign: the driver would read it as a parameter
_REFUSE_CHANGE: Final = (
    f"\nBEGIN\n  RAISE EXCEPTION USING ERRCODE = 'restrict_violation',"
    f" MESSAGE = '{APPEND_ONLY_MARK}' || TG_TABLE_NAME || ' refuses ' || TG_OP;\nEND;\n"
)


def _postgres_install(connection: Connection, protected: list[Table]) -> None:
    triggers = [trigger for table in protected for trigger in postgres_triggers(table)]
    for function, body in sorted({(trigger.function, trigger.body) for trigger in triggers}):
        connection.exec_driver_sql(
            f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $guard${body}$guard$"
        )
    for trigger in triggers:
        each = "ROW" if trigger.kind & _ROW else "STATEMENT"
        connection.exec_driver_sql(
            f"CREATE TRIGGER {trigger.name} {trigger.event} ON {trigger.table}"
            f" FOR EACH {each} EXECUTE FUNCTION {trigger.function}()"
        )
        # ALWAYS: an ordinary trigger is skipped under session_replication_role = replica
        connection.exec_driver_sql(f"ALTER TABLE {trigger.table} ENABLE ALWAYS TRIGGER {trigger.name}")


def _postgres_remove(connection: Connection) -> None:
    functions = connection.execute(_POSTGRES_FUNCTIONS, {"prefix": PREFIX}).scalars().all()
    for function in sorted(functions):
        connection.exec_driver_sql(f"DROP FUNCTION {function}() CASCADE")


def _postgres_found(connection: Connection) -> dict[str, tuple[str, int, str, str, str]]:
    rows = connection.execute(_POSTGRES_TRIGGERS)
    return {f"{row.name} on {row.table}": (row.function, row.kind, row.enabled, row.body, row.extra) for row in rows}


def _postgres_differences(connection: Connection, protected: list[Table]) -> Iterator[str]:
    expected = {
        f"{trigger.name} on {trigger.table}": (trigger.function, trigger.kind, "A", trigger.body, "")
        for table in protected
        for trigger in postgres_triggers(table)
    }
    yield from _compare(expected, _postgres_found(connection))


_POSTGRES_FUNCTIONS: Final = text(
    "SELECT p.proname FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace"
    " AND starts_with(p.proname, :prefix) AND p.prorettype = 'trigger'::regtype"
)
_POSTGRES_TRIGGERS: Final = text(
    "SELECT t.tgname AS name, c.relname AS table, p.proname AS function, t.tgtype::int AS kind,"
    " t.tgenabled::text AS enabled, p.prosrc AS body,"
    " COALESCE(pg_get_expr(t.tgqual, t.tgrelid), '') || t.tgattr::text || encode(t.tgargs, 'hex') AS extra"
    " FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid"
    " WHERE NOT t.tgisinternal AND c.relnamespace = current_schema()::regnamespace"
)


def _compare(expected: Mapping[str, object], found: Mapping[str, object]) -> Iterator[str]:
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            yield f"{name} is missing"
        elif name not in expected:
            yield f"{name} is foreign"
        elif expected[name] != found[name]:
            yield f"{name} was changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Engine:
    install: Callable[[Connection, list[Table]], None]
    remove: Callable[[Connection], None]
    differences: Callable[[Connection, list[Table]], Iterator[str]]


_ENGINES: Final = {
    "sqlite": _Engine(install=_sqlite_install, remove=_sqlite_remove, differences=_sqlite_differences),
    "postgresql": _Engine(install=_postgres_install, remove=_postgres_remove, differences=_postgres_differences),
}
