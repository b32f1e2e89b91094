"""The head model: 413 parameters in, vertices and landmarks out. numpy, with a torch twin."""
