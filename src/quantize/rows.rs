//! Rows of weights from one format to another, on all cores.

use rayon::prelude::*;

use super::Planned;
use crate::error::{Error, Result};
use crate::formats::{self, FormatRef, RowScale};

/// Weights that are converted at a time: enough that the cores are seldom waited for.
pub const SLAB: usize = 1 << 20;

/// What a conversion did to weights: sums of squares.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    /// Σ (x − x̂)².
    pub error: f64,
    /// Σ x².
    pub square: f64,
}

impl Sums {
    pub(super) fn add(&mut self, other: Self) {
        self.error += other.error;
        self.square += other.square;
    }
}

/// One tensor's rows.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    planned: &'a Planned,
    to: FormatRef,
    k: usize,
    from_bytes: usize,
    to_bytes: usize,
}

impl<'a> Rows<'a> {
    pub(super) fn new(planned: &'a Planned) -> Result<Self> {
        let (k, to) = (planned.k, planned.format());
        let bytes = |format| formats::row_bytes(format, k).filter(|&n| n > 0);
        let (Some(from_bytes), Some(to_bytes)) = (bytes(planned.from), bytes(to)) else {
            let expected = format!("whole blocks of {} and {}", planned.from.name(), to.name());
            let got = format!("{}: rows of {k}", planned.tensor.name);
            return Err(Error::Shape { op: "quantize", expected, got });
        };
        Ok(Self { planned, to, k, from_bytes, to_bytes })
    }

    /// Rows of a slab.
    pub(super) fn slab(&self) -> usize {
        (SLAB / self.k).clamp(1, self.planned.rows.max(1))
    }

    /// Bytes of so many rows in the source.
    pub(super) fn source_bytes(&self, rows: usize) -> usize {
        rows * self.from_bytes
    }

    /// Bytes that so many rows are encoded to.
    pub(super) fn encoded_bytes(&self, rows: usize) -> usize {
        rows * self.to_bytes
    }

    /// The largest magnitude of these rows, the first of which is row `first` of the tensor.
    pub(super) fn peak(&self, first: usize, bytes: &[u8]) -> Result<f32> {
        let peaks = bytes.par_chunks(self.piece()).enumerate().map(|(i, piece)| {
            let mut x = vec![0.0; self.k];
            let mut peak = 0.0f32;
            for (row, source) in piece.chunks_exact(self.from_bytes).enumerate() {
                self.decode(first + i * self.piece_rows() + row, source, &mut x)?;
                peak = peak.max(formats::peak(&x));
            }
            Ok(peak)
        });
        peaks.try_reduce(|| 0.0, |a, b| Ok(a.max(b)))
    }

    /// Encodes rows, the first of which is row `first` of a tensor with this peak.
    pub(super) fn convert(
        &self,
        first: usize,
        bytes: &[u8],
        peak: f32,
        out: &mut Vec<u8>,
    ) -> Result<Sums> {
        out.clear();
        out.resize(bytes.len() / self.from_bytes * self.to_bytes, 0);
        let pieces = bytes.par_chunks(self.piece());
        let pieces = pieces.zip(out.par_chunks_mut(self.piece_rows() * self.to_bytes)).enumerate();
        let sums: Result<Vec<Sums>> = pieces
            .map(|(i, (source, out))| {
                self.convert_piece(first + i * self.piece_rows(), source, peak, out)
            })
            .collect();
        // In order, so that the sums are the same however many cores there are.
        let mut total = Sums::default();
        sums?.into_iter().for_each(|s| total.add(s));
        Ok(total)
    }

    fn convert_piece(
        &self,
        first: usize,
        source: &[u8],
        peak: f32,
        out: &mut [u8],
    ) -> Result<Sums> {
        let (mut x, mut y) = (vec![0.0; self.k], vec![0.0; self.k]);
        let mut sums = Sums::default();
        let rows = source.chunks_exact(self.from_bytes).zip(out.chunks_exact_mut(self.to_bytes));
        for (row, (source, out)) in rows.enumerate() {
            self.decode(first + row, source, &mut x)?;
            if self.planned.is_copy() {
                out.copy_from_slice(source);
                sums.square += x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
                continue;
            }
            formats::encode_row_of(self.to, &x, peak, out)?;
            formats::decode_row(self.to, out, &mut y)?;
            for (&x, &y) in x.iter().zip(&y) {
                sums.error += (f64::from(x) - f64::from(y)).powi(2);
                sums.square += f64::from(x).powi(2);
            }
        }
        Ok(sums)
    }

    fn decode(&self, row: usize, source: &[u8], x: &mut [f32]) -> Result<()> {
        formats::decode_row(self.planned.from, source, x)?;
        match x.iter().position(|x| !x.is_finite()) {
            None => Ok(()),
            Some(column) => Err(Error::WeightNotFinite {
                tensor: self.planned.tensor.name.clone(),
                row,
                column,
                value: x[column],
            }),
        }
    }

    /// Rows that a core takes at a time.
    fn piece_rows(&self) -> usize {
        (SLAB / 32 / self.k).max(1)
    }

    fn piece(&self) -> usize {
        self.piece_rows() * self.from_bytes
    }
}

/// Whether rows cannot be encoded before the whole tensor has been seen.
pub(super) fn needs_peak(format: FormatRef) -> bool {
    matches!(format.row_scale(), RowScale::PerTensor(_))
}
