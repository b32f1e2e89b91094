"""`Predictor(image)` finds the head by itself where no box is given."""

import numpy as np
import pytest

from engines.errors import UserError
from trans3dhead.prediction import Predictor

from .conftest import squares

BOX = (50.0, 30.0, 35.0, 50.0)


def test_without_a_box_the_detector_is_asked(predictor: Predictor) -> None:
    image = squares(120, 200, BOX)
    assert predictor(image).bbox == BOX
    assert [head.bbox for head in predictor.predict(image)] == [BOX]
    np.testing.assert_array_equal(predictor(image).projected, predictor(image, BOX).projected)


def test_where_no_head_is_found_the_error_says_so(predictor: Predictor) -> None:
    with pytest.raises(UserError, match=r"no head found in the image of 200 x 120 pixels .*square"):
        predictor(squares(120, 200))
    assert predictor.predict(squares(120, 200)) == []


def test_no_boxes_are_no_heads(predictor: Predictor) -> None:
    assert predictor.predict(squares(120, 200, BOX), []) == []


@pytest.mark.parametrize("shape", [(5, 5), (5, 5, 4)])
def test_another_kind_of_image_is_refused_before_the_detector_sees_it(
    predictor: Predictor, shape: tuple[int, ...]
) -> None:
    with pytest.raises(UserError, match="expected uint8"):
        predictor(np.zeros(shape, np.uint8))
