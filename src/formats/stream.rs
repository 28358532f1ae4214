//! Blocks of a few scale bytes and a little-endian stream of codes of w bits, code j in bits wj..wj+w:
//! BFP, MX, minifloats and NF4. `shaders/lib/bit_stream.wgsl` reads the codes.

use super::bits;

/// Packs codes of `width` bits, `code(j)` being that of weight j; there are whole eights of them.
pub(super) fn pack(width: usize, bytes: &mut [u8], mut code: impl FnMut(usize) -> u8) {
    for (g, bytes) in bytes.chunks_exact_mut(width).enumerate() {
        let codes = (0..8).map(|j| u64::from(code(8 * g + j)) << (width * j));
        let stream = codes.fold(0, |stream, code| stream | code);
        bytes.copy_from_slice(&stream.to_le_bytes()[..width]);
    }
}

/// The codes of such a stream, each with whatever follows it in the bits above.
pub(super) fn unpack(width: usize, bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.chunks_exact(width).flat_map(move |bytes| {
        let mut stream = [0; 8];
        stream[..width].copy_from_slice(bytes);
        let stream = u64::from_le_bytes(stream);
        (0..8).map(move |j| (stream >> (width * j)) as u8)
    })
}

/// The size of a block, and of the scale bytes that it begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocks {
    pub(super) bytes: usize,
    pub(super) scale: usize,
}

impl Blocks {
    /// A row to its planes: the codes of all blocks in plane 0, their scales in plane 1, both in the
    /// file's order.
    pub(super) fn repack(self, row: &[u8], planes: &mut [&mut [u32]]) {
        for (i, block) in row.chunks_exact(self.bytes).enumerate() {
            let (scale, codes) = block.split_at(self.scale);
            bits::put_bytes(planes[0], i * codes.len(), codes);
            if let [_, scales] = planes {
                bits::put_bytes(scales, i * scale.len(), scale);
            }
        }
    }

    /// The inverse of [`repack`](Self::repack).
    pub(super) fn unpack(self, planes: &[&[u32]], row: &mut [u8]) {
        for (i, block) in row.chunks_exact_mut(self.bytes).enumerate() {
            let (scale, codes) = block.split_at_mut(self.scale);
            bits::get_bytes(planes[0], i * codes.len(), codes);
            if let [_, scales] = planes {
                bits::get_bytes(scales, i * scale.len(), scale);
            }
        }
    }
}
