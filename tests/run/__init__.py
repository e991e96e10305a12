"""What runs code in the page: tested here as Python, and in node under the Pyodide of the page."""
