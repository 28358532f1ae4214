//! Streams tensors from a source, through the encoder, to a sink.

use super::report::{Report, TensorReport};
use super::rows::{Rows, Sums, needs_peak};
use super::{Plan, Planned, Sink};
use crate::error::{Error, Result};
use crate::model::Checkpoint;
use crate::model::hugging_face::permute_rows;
use crate::model::source::{self, ByteSource};

/// How far a conversion is, in bytes of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Done so far.
    pub done: u64,
    /// Of this many.
    pub total: u64,
}

/// A conversion of a whole model, a slab of rows per [`step`](Self::step). Stop it by dropping it;
/// what was written to the sink is then no model.
pub struct Conversion<'a> {
    model: &'a Checkpoint,
    plan: &'a Plan,
    sink: Box<dyn Sink + 'a>,
    /// The tensor that is being converted.
    current: Option<Tensor<'a>>,
    reports: Vec<TensorReport>,
    done: u64,
    encoded: Vec<u8>,
}

impl std::fmt::Debug for Conversion<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conversion").field("done", &self.done).finish_non_exhaustive()
    }
}

impl<'a> Conversion<'a> {
    /// A conversion of `model`, by a plan for its tensors, into `sink`.
    pub fn new(model: &'a Checkpoint, plan: &'a Plan, sink: Box<dyn Sink + 'a>) -> Self {
        let (reports, encoded) = (Vec::new(), Vec::new());
        Self { model, plan, sink, current: None, reports, done: 0, encoded }
    }

    /// Converts the next rows; `None` where none are left.
    ///
    /// # Errors
    /// [`Error::WeightNotFinite`] where a weight is NaN or infinite; what the source and the sink
    /// say.
    pub async fn step(&mut self) -> Result<Option<Step>> {
        let source = &**self.model.source();
        let mut tensor = match self.current.take() {
            Some(tensor) => tensor,
            None => match self.plan.tensors.get(self.reports.len()) {
                Some(planned) => {
                    let heads = self.model.heads_to_permute(&planned.tensor)?;
                    Tensor::begin(source, planned, heads).await?
                }
                None => return Ok(None),
            },
        };
        self.done += tensor.convert(source, &mut self.encoded).await?;
        self.sink.data(&self.encoded)?;
        if tensor.is_done() {
            self.reports.push(TensorReport::new(tensor.planned, tensor.sums));
        } else {
            self.current = Some(tensor);
        }
        Ok(Some(Step { done: self.done, total: self.plan.source_bytes() }))
    }

    /// Ends the file and says what became of the weights.
    ///
    /// # Errors
    /// [`Error::Shape`] where tensors are left; what the sink says.
    pub fn finish(self) -> Result<Report> {
        let (done, all) = (self.reports.len(), self.plan.tensors.len());
        if done < all {
            let (expected, got) = (format!("{all} tensors"), format!("{done}"));
            return Err(Error::Shape { op: "quantize", expected, got });
        }
        self.sink.finish()?;
        Ok(Report { tensors: self.reports })
    }
}

/// One tensor in a format of its own, in memory whole; its rows stay in the source's order.
pub(crate) async fn converted(source: &dyn ByteSource, planned: &Planned) -> Result<Vec<u8>> {
    let mut tensor = Tensor::begin(source, planned, None).await?;
    let (mut all, mut encoded) = (Vec::new(), Vec::new());
    all.reserve_exact(planned.bytes as usize);
    while !tensor.is_done() {
        tensor.convert(source, &mut encoded).await?;
        all.extend_from_slice(&encoded);
    }
    Ok(all)
}

/// A tensor of which some rows are done.
struct Tensor<'a> {
    planned: &'a Planned,
    rows: Rows<'a>,
    /// In how many heads rows are to be brought into GGUF's order.
    heads: Option<usize>,
    next: usize,
    peak: f32,
    sums: Sums,
}

impl<'a> Tensor<'a> {
    /// Looks for the peak first where the format needs it.
    async fn begin(
        source: &dyn ByteSource,
        planned: &'a Planned,
        heads: Option<usize>,
    ) -> Result<Self> {
        let rows = Rows::new(planned)?;
        let sums = Sums::default();
        let mut tensor = Self { planned, rows, heads, next: 0, peak: 0.0, sums };
        if needs_peak(planned.format()) && !planned.is_copy() {
            while !tensor.is_done() {
                let (first, offset, len) = tensor.slab();
                let bytes = source::read(source, offset, len).await?;
                tensor.peak = tensor.peak.max(tensor.rows.peak(first, &bytes)?);
                source.release(offset, len);
            }
            tensor.next = 0;
        }
        Ok(tensor)
    }

    fn is_done(&self) -> bool {
        self.next >= self.planned.rows
    }

    /// Encodes the next slab, and gives the bytes that it had.
    async fn convert(&mut self, source: &dyn ByteSource, out: &mut Vec<u8>) -> Result<u64> {
        let (first, offset, len) = self.slab();
        let bytes = source::read(source, offset, len).await?;
        self.sums.add(self.rows.convert(first, &bytes, self.peak, out)?);
        source.release(offset, len);
        if let Some(heads) = self.heads {
            *out = self.permuted(heads, out)?;
        }
        Ok(len as u64)
    }

    /// Rows, or the elements of a bias, in GGUF's order; a slab holds whole heads.
    fn permuted(&self, heads: usize, encoded: &[u8]) -> Result<Vec<u8>> {
        let (heads, size) = match self.planned.rows {
            1 => (heads, self.planned.format().block_bytes()),
            rows => {
                let row = self.rows.encoded_bytes(1);
                (encoded.len() / row / (rows / heads.max(1)).max(1), row)
            }
        };
        permute_rows(encoded, heads, size)
    }

    /// Rows of a slab: whole heads where they are to be reordered.
    fn slab_rows(&self) -> usize {
        let head = self.heads.map_or(1, |heads| self.planned.rows / heads.max(1)).max(1);
        (self.rows.slab() / head).max(1) * head
    }

    /// The next rows: the first, and where their bytes lie.
    fn slab(&mut self) -> (usize, u64, usize) {
        let first = self.next;
        let count = self.slab_rows().min(self.planned.rows - first);
        self.next += count;
        let offset = self.planned.tensor.offset + self.rows.source_bytes(first) as u64;
        (first, offset, self.rows.source_bytes(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{self, RowScale};
    use crate::model::{Bytes, TensorInfo, TensorKind};
    use crate::quantize::Recipe;
    use crate::quantize::rows::SLAB;

    const K: usize = 768;
    /// Two slabs and a bit, in heads of 4 rows.
    const ROWS: usize = (2 * SLAB / K / 4 + 1) * 4;

    /// A matrix whose largest weight is in its last row.
    fn matrix() -> (Bytes, Vec<f32>, TensorInfo) {
        let mut x = 1u32;
        let mut weights: Vec<f32> = (0..ROWS * K)
            .map(|_| {
                x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (x >> 8) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect();
        weights[(ROWS - 1) * K + 3] = -5.0;
        let bytes: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
        let kind = TensorKind::Format(formats::by_name("f32").unwrap());
        let (shape, bytes_len) = (vec![K as u64, ROWS as u64], bytes.len() as u64);
        let name = "matrix.weight".into();
        let info = TensorInfo { name, shape, kind, type_id: None, offset: 0, bytes: bytes_len };
        (Bytes::new("matrix", bytes), weights, info)
    }

    fn whole(format: formats::FormatRef, weights: &[f32]) -> Vec<u8> {
        let mut bytes = vec![0; formats::row_bytes(format, K).unwrap() * ROWS];
        formats::encode_rows(format, K, weights, &mut bytes).unwrap();
        bytes
    }

    /// In slabs or at once: the same, also where rows or the tensor share a scale.
    #[test]
    fn slabs_make_no_difference() {
        let (source, weights, info) = matrix();
        let scaled = formats::all().filter(|f| f.row_scale() != RowScale::None);
        for format in scaled.chain(formats::by_name("q4_0").ok()) {
            let planned = Planned::new(&info, &Recipe::new(format)).unwrap();
            let bytes = pollster::block_on(converted(&source, &planned)).unwrap();
            assert!(bytes == whole(planned.format(), &weights), "{format:?}");
        }
    }

    #[test]
    fn slabs_hold_whole_heads() {
        let (source, weights, info) = matrix();
        let q8_0 = formats::by_name("q8_0").unwrap();
        let planned = Planned::new(&info, &Recipe::new(q8_0)).unwrap();
        let row = formats::row_bytes(q8_0, K).unwrap();
        for heads in [1, 2, ROWS / 4] {
            let mut tensor =
                pollster::block_on(Tensor::begin(&source, &planned, Some(heads))).unwrap();
            let (mut all, mut slab) = (Vec::new(), Vec::new());
            while !tensor.is_done() {
                pollster::block_on(tensor.convert(&source, &mut slab)).unwrap();
                all.extend_from_slice(&slab);
            }
            let expected = permute_rows(&whole(q8_0, &weights), heads, row).unwrap();
            assert!(all == expected, "{heads} heads");
        }
    }

    #[test]
    fn a_weight_that_is_no_number_is_named() {
        let (_, mut weights, info) = matrix();
        weights[(ROWS - 2) * K + 7] = f32::NEG_INFINITY;
        let bytes: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
        let source = Bytes::new("matrix", bytes);
        // Encoded, or copied.
        for format in ["q8_0", "f32"] {
            let recipe = Recipe::new(formats::by_name(format).unwrap());
            let planned = Planned::new(&info, &recipe).unwrap();
            let error = pollster::block_on(converted(&source, &planned)).unwrap_err();
            let Error::WeightNotFinite { row, column, value, .. } = error else {
                panic!("{error:?}")
            };
            assert_eq!((row, column, value), (ROWS - 2, 7, f32::NEG_INFINITY));
        }
    }
}
