"""How `fastrnn.Sequential` trains: data in batches, the chain of layers, parameters, and the loop over epochs."""
