"""x."""


def check(catalog, root):
    return []
