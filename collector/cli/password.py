"""`callmeter password`."""

import os
import sys

import click

from collector.core.passwords import hash_password

EPILOG = """\b
Example:
  callmeter password
  (then, in callmeter.toml)
  [dashboard.users.ann]
  password_hash = "scrypt$..."
  role = "admin\""""


@click.command(epilog=EPILOG)
@click.option("--stdin", "from_stdin", is_flag=True, help="Read the password from the first line of standard input.")
def password(from_stdin: bool) -> None:
    """Ask for a password and print its hash, for [dashboard.users.NAME] in callmeter.toml.

    Nothing is stored; the password is neither printed nor an argument of a command.
    """
    if from_stdin:
        secret = sys.stdin.readline().rstrip("\r\n")
    else:
        secret = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    click.echo(hash_password(secret, os.urandom(16)))
