"""The command line: the roof of the house; a thin shell over typed functions."""
