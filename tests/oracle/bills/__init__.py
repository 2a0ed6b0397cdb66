"""The bill again, by hand: plain Python that knows nothing of the product.

Reads what was used and what was agreed (`usage.json`, `terms.json` of a bundle) and prints the lines of the mean month
in whole cents, the payments and their present value:

    PYTHONPATH=tests/oracle python -m bills usage.json terms.json [TOPOLOGY]
"""

from bills.payback import payback_months
from bills.rows import cents
from bills.study import Study

__all__ = ["Study", "cents", "payback_months"]
