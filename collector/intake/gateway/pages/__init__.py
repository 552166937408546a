"""What is read from the gateway, not called: models, endpoints, generations, metrics, documentation.

table.py     PAGES: paths and their handlers, each imported when it is first asked for
served.py    what a handler is given and gives
query.py     query parameters, read by a table
listing.py   the models that can be routed, pure; models.py and endpoints.py show them in the surface's shape
"""
