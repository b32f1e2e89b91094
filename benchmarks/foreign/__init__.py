"""Other people's models, told what they take and give by an adapter file: judged as engines are.

`adapter` reads the file, `frames` turns crops into their input and their outputs into ours,
`engine` opens an ONNX or TorchScript file as an `Engine`, `judging` holds it against a bundle.
"""
