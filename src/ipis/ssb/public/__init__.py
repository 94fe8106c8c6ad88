"""The public page: the season pack, its dates and keys, for anybody."""
