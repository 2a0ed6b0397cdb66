"""Servers that have to be ordered before a study begins, so that the month that needs them has them."""

from __future__ import annotations

import math

from simulator.bill.owned import servers_of_sites
from simulator.bill.use import study_uses
from simulator.decide.costed import Costed
from simulator.run.left_open import spans


def early_orders(found: Costed) -> list[str]:
    """Of each site the months whose further servers take longer to come than there is time since month 1.

    Those of month 1 stand there when the study begins, whatever they take.
    """
    by_site = servers_of_sites(found.terms, study_uses(found.terms, found.uses))
    words: list[str] = []
    for site, servers in zip(found.terms.owned, by_site, strict=True):
        bought = [there.bought for there in servers]
        ahead = {
            k + 1: months - k
            for k in range(1, len(bought))
            if bought[k] > bought[k - 1] and (months := math.ceil(site.at(k + 1).server.lead_months)) > k
        }
        if ahead:
            most, one = max(ahead.values()), len(ahead) == 1
            words.append(
                f"servers that {spans(list(ahead))} add{'s' * one} at {site.site} have to be ordered "
                f"{'' if one else 'up to '}{most} month{'s' * (most > 1)} before month 1"
            )
    return words
