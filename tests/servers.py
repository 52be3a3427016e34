"""Databases on a PostgreSQL server, made and dropped again."""

import psycopg
from sqlalchemy import make_url


def administer(server_url: str, statement: str) -> None:
    """Run one statement that takes no part in a transaction."""
    url = make_url(server_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(statement.encode())


def create_database(server_url: str, name: str, template: str = "template1") -> str:
    """Create a database and give its URL."""
    administer(server_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


def drop_database(server_url: str, name: str) -> None:
    """Drop a database, whoever is connected."""
    administer(server_url, f"DROP DATABASE {name} WITH (FORCE)")
