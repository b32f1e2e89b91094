"""From files, videos and cameras to heads: sources, boxes, detection, tracking, smoothing.

`photos` and `videos` put them together, each stage overlapping the others. No torch.
"""
