"""The demo: two simulated providers, real traffic by the openai SDK through the real gateway, and a past.

providers.py   the two HTTP servers on loopback, one of them flaky
answers.py     what they answer: plain, streamed, function calls, JSON
traffic.py     applications that call through the gateway
reference.py   the generator of earlier calls
cast.py        the models and applications that play in it
past.py        90 days of them, through the journal
settings.py    the demo's own folder and settings file
"""
