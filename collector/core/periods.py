"""Half-open ranges of time, days in a zone, and the text that names a period.

Instants are whole microseconds since 1970-01-01 UTC. A day is a calendar day in a zone, stored as its number since
1970-01-01. Period texts: `24h`, `72h`, `7d`, `30d`, `90d`, ... (up to and including today), `today`, `month` (the running one),
`2026-10` (a month), `2026-10-01..2026-11-01` (days, half-open).
"""
