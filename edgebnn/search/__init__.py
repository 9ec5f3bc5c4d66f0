"""Search over architectures and bit widths under budgets, and the costs that search, explain and advise share."""
