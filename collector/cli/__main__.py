"""`python -m collector.cli` is `callmeter`, for cron and for child processes."""

from collector.cli import main

main(prog_name="callmeter")
