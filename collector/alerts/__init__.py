"""What is worth telling: ALERTS is the table of rules.

rules     what is so now, from the ledger's questions
state     what of it is new or over, in the ledger
channels  who is told, and how
"""

from collector.alerts.rules import ALERTS
from collector.alerts.state import deliver, look, silence

__all__ = ["ALERTS", "deliver", "look", "silence"]
