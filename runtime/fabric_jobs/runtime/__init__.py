"""What the facade, the executor and the command line share at run time, beside the contract."""
