"""A whole national collection through the rooms' own functions, each party a process of its own, with stage times."""
