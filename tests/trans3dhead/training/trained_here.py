"""`trans3dhead` with the tests' small preset: a process that tests start, kill and start again.

`--fixed-statistics` before the command holds BatchNorm's statistics; `--broken-label ITEM` puts a
number that is none into an item's label.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))

from conftest import small_preset

from trans3dhead import presets
from trans3dhead.cli.main import main
from trans3dhead.training import loop, run

words = sys.argv[1:]
presets.PRESETS["small"] = small_preset
loop.LOG_EVERY = 1
torch.set_num_threads(1)

if words[0] == "--fixed-statistics":
    words = words[1:]
    nn.BatchNorm2d.train = lambda self, mode=True: nn.Module.train(self, False)

if words[0] == "--broken-label":
    broken, words, read_labels = int(words[1]), words[2:], run.read_labels

    def with_a_broken_label(dataset, head):
        found = read_labels(dataset, head)
        euler = found.euler.copy()
        euler[broken % len(found)] = np.nan
        return replace(found, euler=euler)

    run.read_labels = with_a_broken_label

sys.exit(main(words))
