"""The command `fabric-jobs`: starts the programs, and calls them as Fabric would."""
