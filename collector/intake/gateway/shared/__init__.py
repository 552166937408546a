"""What the calls of a gateway, and the workers that share its port, know together: state.db, cached in memory.

state.py     the file itself: opened, made, its one clear error
keys.py      gateway keys: made once, kept as digests, looked up in memory
fared.py     how endpoints fared, in memory; health.py saves and shares it
sessions.py  who answered a conversation last, in memory, saved and shared
budgets.py   what was spent and what is reserved, in each budget's window
rates.py     calls per minute and key, and what was turned away at the door
workers.py   who is alive, and the reservations of who is not
recovery.py  a new file in place of a damaged one
desk.py      all of them together, as the gateway uses them

A dead ledger stops nothing here; only a new budget's first window and a dead worker's reservations are read from it.
"""
