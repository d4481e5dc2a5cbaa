"""The rules of the writer and the reader: commands on jobs, over the log and its replica."""
