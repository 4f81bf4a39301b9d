"""Where two statements meet: evidence of forks, and how conflicts are resolved."""
