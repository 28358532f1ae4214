//! The order of rows of queries and keys.

use crate::error::{Error, Result};
use crate::model::gguf::Metadata;

/// Rows in the order in which GGUF has the queries and keys of llama models: in each of `heads`
/// heads of d rows, row i and row i + d/2, a rotary pair, come to lie beside each other
/// (convert_hf_to_gguf.py, `LlamaModel.permute`). `rows` are rows of `row_bytes` bytes each, in any
/// format.
///
/// # Errors
/// [`Error::Shape`] where the rows cannot be shared out evenly among the heads' halves.
pub fn permute_rows(rows: &[u8], heads: usize, row_bytes: usize) -> Result<Vec<u8>> {
    let (op, got) = ("permute_rows", format!("{} bytes", rows.len()));
    let expected = format!("rows of {row_bytes} bytes, in {heads} heads of an even number");
    let size = heads.checked_mul(2).and_then(|n| n.checked_mul(row_bytes)).filter(|n| *n > 0);
    let Some(half) = size.filter(|n| rows.len().is_multiple_of(*n)).map(|n| rows.len() / n) else {
        return Err(Error::Shape { op, expected, got });
    };
    let mut permuted = Vec::with_capacity(rows.len());
    // No rows at all are in order.
    for head in rows.chunks_exact((2 * half * row_bytes).max(1)) {
        let (first, second) = head.split_at(half * row_bytes);
        for (a, b) in first.chunks_exact(row_bytes).zip(second.chunks_exact(row_bytes)) {
            permuted.extend_from_slice(a);
            permuted.extend_from_slice(b);
        }
    }
    Ok(permuted)
}

/// In how many heads the rows of this tensor are to be permuted.
pub(in crate::model) fn heads_to_permute(metadata: &Metadata, name: &str) -> Result<Option<usize>> {
    const HEADS: &str = "llama.attention.head_count";
    let key = match name.rsplit('.').nth(1) {
        Some("attn_q") => HEADS,
        Some("attn_k") => "llama.attention.head_count_kv",
        _ => return Ok(None),
    };
    let heads = metadata.usize(key)?.or(metadata.usize(HEADS)?);
    heads.map(Some).ok_or_else(|| Error::config(HEADS, "is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `LlamaModel.permute` as it stands: reshape to [heads, 2, d/2, k], swap axes 1 and 2.
    fn numpy(rows: &[u8], heads: usize, row_bytes: usize) -> Vec<u8> {
        let half = rows.len() / row_bytes / heads / 2;
        let mut out = Vec::new();
        for (h, i, j) in
            (0..heads).flat_map(|h| (0..half).flat_map(move |i| [(h, i, 0), (h, i, 1)]))
        {
            let row = (h * 2 + j) * half + i;
            out.extend(&rows[row * row_bytes..][..row_bytes]);
        }
        out
    }

    #[test]
    fn rows_go_where_the_converter_puts_them() {
        // numpy: np.arange(8).reshape(2, 2, 2, 1).swapaxes(1, 2).reshape(8)
        let rows: Vec<u8> = (0..8).collect();
        assert_eq!(permute_rows(&rows, 2, 1).unwrap(), [0, 2, 1, 3, 4, 6, 5, 7]);
        for (heads, half, row_bytes) in [(1, 1, 1), (3, 4, 5), (2, 16, 34), (9, 32, 3)] {
            let rows: Vec<u8> = (0..heads * half * 2 * row_bytes).map(|i| i as u8).collect();
            let permuted = permute_rows(&rows, heads, row_bytes).unwrap();
            assert_eq!(permuted, numpy(&rows, heads, row_bytes));
        }
    }

    #[test]
    fn rows_that_are_no_halves_are_refused() {
        for (len, heads, row_bytes) in
            [(6, 2, 1), (8, 0, 1), (8, 2, 0), (8, 2, 3), (8, usize::MAX, 1)]
        {
            assert!(permute_rows(&vec![0; len], heads, row_bytes).is_err());
        }
        assert_eq!(permute_rows(&[], 2, 4).unwrap(), [0u8; 0]);
    }
}
