// Writing a row's chunks in a block format, for kernels that encode. The op's params begin as
// lib/layout.wgsl says and have `cols`, the values in a row. The op defines a row that is written,
// `struct Row` with its number `row`, and
// - load_bits(r: Row, j: u32) -> u32: the bits of its value j,
// - row_slot(r: Row, c: u32, n: u32) -> u32: lib/layout.wgsl's `slot`,
// - store_word(r: Row, at: u32, word: u32).
// All in integers (lib/f32_bits.wgsl), so the bytes are the CPU's on every device.
//
// A lane encodes GROUP chunks of a row: as many as share a word of any plane or a block, so that
// every word has one writer.

override GROUP: u32 = 1u;
// Chunks in a block: those whose largest magnitude a chunk's encoder is told.
override SCOPE: u32 = 1u;

// The format's planes: words in a slot, chunks that share a slot (of one word, if more than one).
override PLANES: u32 = 1u;
override WORDS0: u32 = 1u;
override WORDS1: u32 = 1u;
override WORDS2: u32 = 1u;
override SHARE0: u32 = 1u;
override SHARE1: u32 = 1u;
override SHARE2: u32 = 1u;

const NAN = 0x7fc00000u;

// v / s as src/formats/rows.rs has it: 0 where s is 0, one NaN.
fn quotient(v: u32, s: u32) -> u32 {
    if is_nan(s) || is_nan(v) {
        return select(NAN, 0u, magnitude(s) == 0u);
    }
    if magnitude(s) == 0u {
        return 0u;
    }
    if !is_finite(s) {
        return select(v & SIGN, NAN, !is_finite(v));
    }
    if !is_finite(v) {
        return v;
    }
    return (v & SIGN) | f32_div(v, s);
}

// Chunk c of a row, without the row's scale, zeros behind its end.
fn load_chunk(r: Row, c: u32) -> array<u32, 32> {
    var chunk: array<u32, 32>;
    let end = min(32u, max(params.cols, c * 32u) - c * 32u);
    for (var j = 0u; j < end; j++) {
        if ROW_SCALED {
            chunk[j] = quotient(load_bits(r, c * 32u + j), load_word(params.scales + r.row));
        } else {
            chunk[j] = load_bits(r, c * 32u + j);
        }
    }
    return chunk;
}

// The larger of a peak and a value's magnitude; a NaN is larger than all.
fn larger(peak: u32, value: u32) -> u32 {
    return max(peak, min(magnitude(value), INFINITY + 1u));
}

// The largest magnitude in the block that begins with chunk c.
fn block_peak(r: Row, c: u32) -> u32 {
    var peak = 0u;
    for (var i = c; i < min(c + SCOPE, params.chunks); i++) {
        var chunk = load_chunk(r, i);
        for (var j = 0u; j < 32u; j++) {
            peak = larger(peak, chunk[j]);
        }
    }
    return peak;
}

fn plane_words(p: u32) -> u32 {
    return select(select(WORDS2, WORDS1, p == 1u), WORDS0, p == 0u);
}

fn plane_share(p: u32) -> u32 {
    return select(select(SHARE2, SHARE1, p == 1u), SHARE0, p == 0u);
}

// Encodes chunks first .. first + GROUP of a row.
fn encode_group(r: Row, first: u32) {
    // What the chunks so far gave to a word that they share, of each plane.
    var shared_words: array<u32, 3>;
    var peak = 0u;
    for (var c = first; c < min(first + GROUP, params.chunks); c++) {
        if c % SCOPE == 0u {
            peak = block_peak(r, c);
        }
        let words = encode32(load_chunk(r, c), peak);
        var from_word = 0u;
        for (var p = 0u; p < PLANES; p++) {
            let share = plane_share(p);
            let at = plane(p) + row_slot(r, c, share) * plane_words(p);
            if share > 1u {
                let bits = 32u / share;
                let mine = extractBits(words[from_word], bits * (c % SCOPE), bits);
                let joined = mine << (bits * (c % share));
                shared_words[p] = select(shared_words[p], 0u, c % share == 0u) | joined;
                store_word(r, at, shared_words[p]);
            } else {
                for (var w = 0u; w < plane_words(p); w++) {
                    store_word(r, at + w, words[from_word + w]);
                }
            }
            from_word += plane_words(p);
        }
    }
}
