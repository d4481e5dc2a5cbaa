"""The figures, with those that are measured together in one module."""
