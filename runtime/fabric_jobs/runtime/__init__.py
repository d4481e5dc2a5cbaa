"""Code that the facade, the executor and the command line share, in addition to the contract."""
