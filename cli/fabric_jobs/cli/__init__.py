"""The command `fabric-jobs`: starts the programs, and calls a facade as Fabric and operators do."""
