//! Runs named suites and tells how each ended.

use std::time::{Duration, Instant};

use crate::shell::Result;

/// What has been run so far.
pub struct Report {
    start: Instant,
    rows: Vec<Row>,
}

impl Default for Report {
    fn default() -> Self {
        Self { start: Instant::now(), rows: Vec::new() }
    }
}

struct Row {
    name: String,
    time: Duration,
    error: Option<String>,
}

impl Report {
    /// Runs one suite; an error is kept and the next suite goes on.
    pub fn run<T>(&mut self, name: &str, suite: impl FnOnce() -> Result<T>) -> Option<T> {
        eprintln!("\n=== {name}");
        let start = Instant::now();
        let (value, error) = match suite() {
            Ok(value) => (Some(value), None),
            Err(error) => (None, Some(error)),
        };
        let time = start.elapsed();
        match &error {
            None => eprintln!("=== {name}: ok, {:.1} s", time.as_secs_f64()),
            Some(e) => eprintln!("=== {name}: FAILED, {:.1} s: {e}", time.as_secs_f64()),
        }
        self.rows.push(Row { name: name.into(), time, error });
        value
    }

    /// Adds what ran at the same time, on another thread.
    pub fn extend(&mut self, other: Self) {
        self.rows.extend(other.rows);
    }

    /// Suites that failed.
    pub fn failed(&self) -> usize {
        self.rows.iter().filter(|row| row.error.is_some()).count()
    }

    /// A line per suite, the reasons of the failures, the total time, and last the count.
    pub fn table(&self) -> String {
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        let mut text = String::from("\n");
        for Row { name, time, error } in &self.rows {
            let end = if error.is_some() { "FAILED" } else { "ok" };
            text += &format!("{name:width$}  {:>8.1} s  {end}\n", time.as_secs_f64());
        }
        for row in &self.rows {
            if let Some(error) = &row.error {
                text += &format!("\n{}: {error}", row.name);
            }
        }
        let failed = self.failed();
        text += &format!("\n{:.0} s in all\n", self.start.elapsed().as_secs_f64());
        text + &format!("{} passed, {failed} failed\n", self.rows.len() - failed)
    }
}

#[cfg(test)]
mod tests {
    use super::Report;

    #[test]
    fn a_failing_suite_is_counted_and_does_not_stop_the_next() {
        let mut report = Report::default();
        report.run("one", || Ok(()));
        report.run("two", || Err::<(), _>("broken".into()));
        report.run("three", || Ok(()));
        assert_eq!(report.failed(), 1);
        let table = report.table();
        assert!(table.contains("two: broken"), "{table}");
        assert_eq!(table.lines().last(), Some("2 passed, 1 failed"));
    }
}
