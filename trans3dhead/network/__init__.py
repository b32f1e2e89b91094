"""The network: the paper's section 3, one file a part of the method."""
