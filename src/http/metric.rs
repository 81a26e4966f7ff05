//! One number in Prometheus' format: what it is called, what it means, how much it is.

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

/// A number that goes up and down.
pub(super) fn gauge(name: &str, help: &str, value: f64) -> MetricFamily {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    family(
        name,
        help,
        MetricType::GAUGE,
        vec![Metric::from_gauge(gauge)],
    )
}

/// A number that only grows, until the node starts again.
pub(super) fn counter(name: &str, help: &str, value: f64) -> MetricFamily {
    let metric = counted(Metric::default(), value);
    family(name, help, MetricType::COUNTER, vec![metric])
}

/// Such a number in parts, by what a label says.
pub(super) fn counter_by(
    name: &str,
    help: &str,
    label: &str,
    parts: &[(&str, u64)],
) -> MetricFamily {
    let part = |(value, count): &(&str, u64)| {
        let mut pair = LabelPair::default();
        pair.set_name(label.to_owned());
        pair.set_value((*value).to_owned());
        counted(Metric::from_label(vec![pair]), *count as f64)
    };
    let metrics = parts.iter().map(part).collect();
    family(name, help, MetricType::COUNTER, metrics)
}

/// How many were how big: `counts` has one entry for each bound and one for what is beyond,
/// and none is counted twice.
pub(super) fn histogram(
    name: &str,
    help: &str,
    bounds: &[usize],
    counts: &[u64],
    sum: u64,
) -> MetricFamily {
    let mut histogram = Histogram::default();
    let mut below = 0;
    let buckets = bounds.iter().zip(counts).map(|(bound, count)| {
        below += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound as f64);
        bucket.set_cumulative_count(below);
        bucket
    });
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(counts.iter().sum());
    histogram.set_sample_sum(sum as f64);
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    family(name, help, MetricType::HISTOGRAM, vec![metric])
}

fn counted(mut metric: Metric, value: f64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value);
    metric.set_counter(counter);
    metric
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use super::*;

    #[test]
    fn they_read_as_prometheus_wants_it() {
        let families = [
            gauge("age_seconds", "How old.", 0.25),
            counter_by("drops_total", "Dropped.", "reason", &[("a", 1), ("b", 2)]),
            histogram("rows", "Rows.", &[1, 10], &[2, 3, 1], 60),
        ];
        let text = TextEncoder::new().encode_to_string(&families).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.contains("HELP")).collect();
        assert_eq!(
            lines,
            [
                "# TYPE age_seconds gauge",
                "age_seconds 0.25",
                "# TYPE drops_total counter",
                "drops_total{reason=\"a\"} 1",
                "drops_total{reason=\"b\"} 2",
                "# TYPE rows histogram",
                "rows_bucket{le=\"1\"} 2",
                "rows_bucket{le=\"10\"} 5",
                "rows_bucket{le=\"+Inf\"} 6",
                "rows_sum 60",
                "rows_count 6",
            ]
        );
    }
}
