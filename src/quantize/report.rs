//! What a conversion did: sizes and errors, per tensor and per group of tensors.

use super::Planned;
use super::rows::Sums;
use crate::formats::FormatRef;

/// What became of every tensor.
#[derive(Debug, Clone)]
pub struct Report {
    /// In the model's order.
    pub tensors: Vec<TensorReport>,
}

/// What became of one tensor.
#[derive(Debug, Clone)]
pub struct TensorReport {
    /// Its name.
    pub name: String,
    /// The format that it has now.
    pub format: FormatRef,
    /// Its weights.
    pub weights: u64,
    /// Their bytes now.
    pub bytes: u64,
    /// Σ (x − x̂)² over the weights x as the source has them.
    pub squared_error: f64,
    /// Σ x².
    pub squared_sum: f64,
}

impl TensorReport {
    pub(super) fn new(planned: &Planned, sums: Sums) -> Self {
        Self {
            name: planned.tensor.name.clone(),
            format: planned.format(),
            weights: planned.tensor.elements(),
            bytes: planned.bytes,
            squared_error: sums.error,
            squared_sum: sums.square,
        }
    }
}

/// Some tensors together.
#[derive(Debug, Clone)]
pub struct Summary {
    /// What they have in common: the name without the layer's number, such as `attn_q`.
    pub name: String,
    /// How many there are.
    pub tensors: usize,
    /// Their weights.
    pub weights: u64,
    /// The formats' names, and how many tensors have each.
    pub formats: Vec<(String, usize)>,
    /// Their bytes.
    pub bytes: u64,
    squared_error: f64,
    squared_sum: f64,
}

impl Summary {
    /// Bits that a weight takes, scales included.
    pub fn bits_per_weight(&self) -> f64 {
        8.0 * self.bytes as f64 / self.weights as f64
    }

    /// √(Σ (x − x̂)² / n).
    pub fn rms_error(&self) -> f64 {
        (self.squared_error / self.weights as f64).sqrt()
    }

    /// √(Σ (x − x̂)² / Σ x²): the error in units of the weights' own size; 0 where all are zero.
    pub fn relative_error(&self) -> f64 {
        if self.squared_sum > 0.0 { (self.squared_error / self.squared_sum).sqrt() } else { 0.0 }
    }

    fn empty(name: &str) -> Self {
        Self {
            name: name.into(),
            tensors: 0,
            weights: 0,
            formats: Vec::new(),
            bytes: 0,
            squared_error: 0.0,
            squared_sum: 0.0,
        }
    }

    fn add(&mut self, t: &TensorReport) {
        self.tensors += 1;
        self.weights += t.weights;
        self.bytes += t.bytes;
        self.squared_error += t.squared_error;
        self.squared_sum += t.squared_sum;
        match self.formats.iter_mut().find(|(name, _)| name == t.format.name()) {
            Some((_, count)) => *count += 1,
            None => self.formats.push((t.format.name().into(), 1)),
        }
    }
}

impl Report {
    /// Tensors of the same part of every layer, in the order in which they first appear.
    pub fn groups(&self) -> Vec<Summary> {
        let mut groups: Vec<Summary> = Vec::new();
        for tensor in &self.tensors {
            let name = group_name(&tensor.name);
            let at = groups.iter().position(|g| g.name == name).unwrap_or(groups.len());
            if at == groups.len() {
                groups.push(Summary::empty(&name));
            }
            groups[at].add(tensor);
        }
        groups
    }

    /// All tensors together.
    pub fn total(&self) -> Summary {
        let mut total = Summary::empty("total");
        self.tensors.iter().for_each(|t| total.add(t));
        total
    }
}

/// `blk.11.attn_q.weight` → `attn_q`; `blk.0.attn_q.bias` → `attn_q.bias`.
fn group_name(name: &str) -> String {
    let mut parts: Vec<&str> = name.split('.').collect();
    if parts.len() > 1 && parts.last() == Some(&"weight") {
        parts.pop();
    }
    if let [block, number, rest @ ..] = parts.as_slice()
        && *block == "blk"
        && !rest.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
    {
        return rest.join(".");
    }
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::by_name;

    #[test]
    fn groups_are_named_without_layers() {
        for (name, group) in [
            ("blk.11.attn_q.weight", "attn_q"),
            ("blk.0.attn_q.bias", "attn_q.bias"),
            ("token_embd.weight", "token_embd"),
            ("blk.x.attn_q.weight", "blk.x.attn_q"),
            ("blk.1", "blk.1"),
            ("weight", "weight"),
            ("", ""),
        ] {
            assert_eq!(group_name(name), group, "{name}");
        }
    }

    #[test]
    fn sums_become_bits_and_errors() {
        let tensor = |name: &str, format, weights, bytes, squared_error, squared_sum| {
            let (name, format) = (name.to_owned(), by_name(format).unwrap());
            TensorReport { name, format, weights, bytes, squared_error, squared_sum }
        };
        let report = Report {
            tensors: vec![
                tensor("blk.0.a.weight", "q8_0", 64, 68, 1.0, 100.0),
                tensor("b.weight", "f32", 4, 16, 0.0, 0.0),
                tensor("blk.1.a.weight", "q4_0", 64, 36, 7.0, 28.0),
            ],
        };
        let groups = report.groups();
        let names: Vec<_> = groups.iter().map(|g| (g.name.as_str(), g.tensors)).collect();
        assert_eq!(names, [("a", 2), ("b", 1)]);
        assert_eq!(groups[0].formats, [("q8_0".into(), 1), ("q4_0".into(), 1)]);
        assert_eq!(groups[0].bits_per_weight(), 8.0 * 104.0 / 128.0);
        assert_eq!(groups[0].rms_error(), 0.25);
        assert_eq!(groups[0].relative_error(), 0.25);
        assert_eq!(groups[1].relative_error(), 0.0);
        assert_eq!((report.total().weights, report.total().bytes), (132, 120));
    }
}
