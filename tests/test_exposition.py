"""The text format: as its specification has it, and as another parser reads it."""

from __future__ import annotations

import pytest

from runtime_lib.exposition import Metric, page

GAUGE = Metric("depth_metres", "gauge", "How deep\nit is, in \\ metres.", "metres", ("place",))
ODD = 'it\'s "odd" \\ with\nlines, {braces} and é'


def test_a_page_has_one_head_for_each_metric_and_keeps_its_samples_together():
    other = Metric("seen_total", "counter", "Seen.", "", ())
    text = page([GAUGE.sample(1.5, place="a"), other.sample(7), GAUGE.sample(2, place="b")])
    assert text == (
        "# HELP depth_metres How deep\\nit is, in \\\\ metres.\n"
        "# TYPE depth_metres gauge\n"
        'depth_metres{place="a"} 1.5\n'
        'depth_metres{place="b"} 2\n'
        "# HELP seen_total Seen.\n"
        "# TYPE seen_total counter\n"
        "seen_total 7\n"
    )


def test_no_series_is_there_twice_and_the_last_value_counts():
    text = page([GAUGE.sample(1, place="a"), GAUGE.sample(2, place="a")])
    assert text.splitlines()[2:] == ['depth_metres{place="a"} 2']


def test_whatever_a_label_holds_another_parser_reads_it_back():
    parser = pytest.importorskip("prometheus_client.parser")
    [family] = parser.text_string_to_metric_families(page([GAUGE.sample(0.1 + 0.2, place=ODD)]))
    [sample] = family.samples
    assert (sample.labels, sample.value) == ({"place": ODD}, 0.1 + 0.2)
    assert family.documentation == GAUGE.help


@pytest.mark.parametrize("value", [True, 3, 2.5, 1e-7, 1e300, float("inf"), float("nan")])
def test_each_value_is_a_number_to_another_parser(value):
    parser = pytest.importorskip("prometheus_client.parser")
    [family] = parser.text_string_to_metric_families(page([GAUGE.sample(value, place="a")]))
    assert family.samples[0].value == value or value != value


def test_a_sample_has_the_labels_of_its_metric():
    with pytest.raises(AssertionError, match="depth_metres has the labels"):
        GAUGE.sample(1, plaice="a")
