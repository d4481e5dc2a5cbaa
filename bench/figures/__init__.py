"""The figures, by what is measured together."""
