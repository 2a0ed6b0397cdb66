"""Money: the usage ledger times prices gives line items that sum; annuities, break-even and sensitivity."""
