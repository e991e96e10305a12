"""Running a page's code in the reader's browser: what is fetched, built and shipped for it."""
