"""Labelled images of a head model, drawn by the program: DAD-3DHeads' layout, nothing downloaded.

`render.render_item` draws one; `dataset.write_dataset` fills a folder. Runs without torch.
"""
