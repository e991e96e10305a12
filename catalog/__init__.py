"""The site's own code: reads words, code and results, checks every promise, writes every page."""
