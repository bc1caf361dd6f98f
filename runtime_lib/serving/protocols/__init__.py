"""Public protocols, translated to columns of values and back; nothing here knows HTTP.

A parser hands columns over as they came: whether they fit the model is for `check_rows` to say.
"""
