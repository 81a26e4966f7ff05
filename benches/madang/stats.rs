//! Small numbers made readable, and percentiles.

use std::time::Duration;

/// Times of one kind of request.
#[derive(Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// Adds one.
    pub fn record(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The time that this share of all requests (0 to 1) did not exceed; zero if there were none.
    pub fn percentile(&mut self, share: f64) -> Duration {
        self.0.sort_unstable();
        let last = self.0.len().saturating_sub(1);
        let index = (last as f64 * share).ceil() as usize;
        self.0.get(index).copied().unwrap_or_default()
    }
}

/// The middle of some values; zero if there are none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// The middle of the ratios of values that were measured beside each other.
pub fn median_ratio(values: &[f64], of: &[f64]) -> String {
    let ratios = values
        .iter()
        .zip(of)
        .map(|(value, of)| value / of)
        .collect();
    format!("{:.2} ×", median(ratios))
}

/// Microseconds with two digits.
pub fn micros(seconds: f64) -> String {
    format!("{:.2} µs", seconds * 1e6)
}

/// Milliseconds with one digit.
pub fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// Binary megabytes with one digit.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / (1024.0 * 1024.0))
}

/// Binary kilobytes with one digit.
pub fn kilobytes(bytes: f64) -> String {
    format!("{:.1} KB", bytes / 1024.0)
}

/// One value as a multiple of another.
pub fn times(value: f64, of: f64) -> String {
    format!("{:.2} ×", value / of)
}
